-- What was sent of a fault of a run, or is about to be: the row is the claim of who sends it.
-- `round` is how often the run had been cleared, in whole or in part; `reason` says why a channel did not take it.
CREATE TABLE sluicegate.alerts (
    dedupe_key text NOT NULL,
    round      integer NOT NULL DEFAULT 0,
    channel    text NOT NULL,
    pipeline   text NOT NULL,
    run_id     text,
    fault      text NOT NULL,
    severity   text NOT NULL,
    group_key  text NOT NULL,
    steps      text[] NOT NULL,
    times      integer NOT NULL DEFAULT 1,
    message    jsonb NOT NULL,
    claimed_by text NOT NULL,
    claimed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    sent_at    timestamptz,
    reason     text,
    PRIMARY KEY (dedupe_key, round, channel)
);
CREATE INDEX alerts_order ON sluicegate.alerts (claimed_at);
CREATE INDEX alerts_run ON sluicegate.alerts (pipeline, run_id);
CREATE INDEX alerts_undelivered ON sluicegate.alerts (claimed_at) WHERE sent_at IS NULL;
