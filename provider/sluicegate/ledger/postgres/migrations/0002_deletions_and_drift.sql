-- Loads that delete: records that delete a row, rows that a replaced window lost, and the keys of what was deleted.
-- What the source had and the table had not, or the other way round, is the drift of a load.
ALTER TABLE sluicegate.loads ADD COLUMN IF NOT EXISTS deleted bigint NOT NULL DEFAULT 0;
ALTER TABLE sluicegate.loads ADD COLUMN IF NOT EXISTS removed bigint NOT NULL DEFAULT 0;
ALTER TABLE sluicegate.loads ADD COLUMN IF NOT EXISTS drift jsonb;
ALTER TABLE sluicegate.loads DROP CONSTRAINT IF EXISTS loads_balanced;
ALTER TABLE sluicegate.loads ADD CONSTRAINT loads_balanced
    CHECK (read = inserted + updated + unchanged + stale + deduplicated + deleted + dead + rejected);

-- The version at which a key was deleted: what is older than it stays away, also when it comes later.
CREATE TABLE IF NOT EXISTS sluicegate.tombstones (
    target     text NOT NULL,
    key        jsonb NOT NULL,
    version    text,
    deleted_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (target, key)
);

-- The windows that are being loaded, for pipelines whose runs must not overlap. A row counts while its session lives.
CREATE UNLOGGED TABLE IF NOT EXISTS sluicegate.running (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    target        text NOT NULL,
    pipeline      text NOT NULL,
    step          text NOT NULL,
    run_id        text NOT NULL,
    window_start  timestamptz NOT NULL,
    window_end    timestamptz NOT NULL,
    pid           integer NOT NULL,
    backend_start timestamptz NOT NULL
);
