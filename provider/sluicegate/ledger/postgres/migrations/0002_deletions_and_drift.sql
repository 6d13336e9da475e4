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
