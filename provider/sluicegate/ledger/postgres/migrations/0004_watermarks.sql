-- How far a source was read: for each window of a step above `low` (everything where it is null) and at most `high`.
CREATE TABLE sluicegate.watermarks (
    pipeline     text NOT NULL,
    step         text NOT NULL,
    scope        text NOT NULL,
    window_start timestamptz NOT NULL,
    window_end   timestamptz NOT NULL,
    kind         text,
    low          text,
    high         text,
    run_id       text,
    noted_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (pipeline, step, scope, window_start, window_end)
);
