-- The ledger: which source version was loaded into which target, and which records were set aside.
-- Every statement may run again: a ledger that is older than the table of migrations has these tables already.
CREATE SCHEMA IF NOT EXISTS sluicegate;

CREATE TABLE IF NOT EXISTS sluicegate.loads (
    id             bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    target         text NOT NULL,
    source         text NOT NULL,
    source_version text NOT NULL,
    config_digest  text NOT NULL,
    status         text NOT NULL CHECK (status IN ('loaded', 'failed')),
    fault          text,
    pipeline       text,
    step           text,
    window_start   timestamptz,
    window_end     timestamptz,
    run_id         text,
    try_number     integer,
    read           bigint NOT NULL,
    inserted       bigint NOT NULL,
    updated        bigint NOT NULL,
    unchanged      bigint NOT NULL,
    stale          bigint NOT NULL,
    deduplicated   bigint NOT NULL,
    dead           bigint NOT NULL,
    rejected       bigint NOT NULL,
    seconds        double precision NOT NULL,
    loaded_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT loads_balanced
        CHECK (read = inserted + updated + unchanged + stale + deduplicated + dead + rejected)
);
-- Not unique: a forced load of the same version adds a row of its own. md5, because a source may be many URIs.
CREATE INDEX IF NOT EXISTS loads_hit ON sluicegate.loads (target, md5(source), id) WHERE status = 'loaded';

CREATE TABLE IF NOT EXISTS sluicegate.dead_letters (
    id             text PRIMARY KEY,
    target         text NOT NULL,
    pipeline       text,
    step           text,
    run_id         text,
    window_start   timestamptz,
    window_end     timestamptz,
    source         text NOT NULL,
    source_version text NOT NULL,
    line           bigint NOT NULL,
    record         text NOT NULL,
    key            jsonb,
    failures       jsonb NOT NULL,
    fault          text,
    config_digest  text NOT NULL,
    status         text NOT NULL DEFAULT 'open' CHECK (status IN ('open', 'replayed', 'resolved', 'discarded')),
    attempts       integer NOT NULL DEFAULT 1,
    first_seen     timestamptz NOT NULL DEFAULT clock_timestamp(),
    last_seen      timestamptz NOT NULL DEFAULT clock_timestamp(),
    resolved_by    text
);
CREATE INDEX IF NOT EXISTS dead_letters_open ON sluicegate.dead_letters (target) WHERE status = 'open';
