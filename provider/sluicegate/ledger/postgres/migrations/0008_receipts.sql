-- Receipts: one row for each try of a step. It is `running` from the beginning, and completed at the end. `json`, which
-- keeps the order of keys: counts and phases are shown in it.
CREATE TABLE sluicegate.receipts (
    pipeline      text NOT NULL,
    run_id        text NOT NULL,
    step          text NOT NULL,
    map_index     integer NOT NULL,
    try_number    integer NOT NULL,
    status        text NOT NULL,
    started_at    timestamptz NOT NULL,
    ended_at      timestamptz,
    window_start  timestamptz,
    window_end    timestamptz,
    version       smallint NOT NULL,
    configuration text,
    document      json NOT NULL,
    PRIMARY KEY (pipeline, run_id, step, map_index, try_number)
);
CREATE INDEX receipts_started ON sluicegate.receipts (pipeline, started_at);
-- Of all pipelines: health and the watch look for what failed in the last days, often.
CREATE INDEX receipts_begun ON sluicegate.receipts (started_at);
-- Each end of a step looks whether an old configuration is still one of a receipt.
CREATE INDEX receipts_configuration ON sluicegate.receipts (configuration);

-- What pipelines said, key by key. No foreign key: a row is forgotten once no try has seen it for long enough.
CREATE TABLE sluicegate.configurations (
    digest   text PRIMARY KEY,
    document json NOT NULL,
    seen_at  timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX configurations_seen ON sluicegate.configurations (seen_at);
