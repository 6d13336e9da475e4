-- Loads that created their table: what was loaded into one of that name before is gone with it.
ALTER TABLE sluicegate.loads ADD COLUMN IF NOT EXISTS created boolean NOT NULL DEFAULT false;
CREATE INDEX IF NOT EXISTS loads_created ON sluicegate.loads (target, id) WHERE created;
