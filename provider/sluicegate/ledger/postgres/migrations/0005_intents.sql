-- What a target without transactions becomes by a load that is in the ledger already: which staged files take which
-- places, and which files go. The row is there from the load's commit until all of it is done.
CREATE TABLE IF NOT EXISTS sluicegate.intents (
    id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    target   text NOT NULL,
    load     bigint NOT NULL REFERENCES sluicegate.loads (id) ON DELETE CASCADE,
    switch   jsonb NOT NULL,
    noted_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX IF NOT EXISTS intents_target ON sluicegate.intents (target);
