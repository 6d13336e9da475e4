-- Circuit breakers, by what they protect: `connection:warehouse`, `host:api.example.com`, `aws:aws_default`.
-- `failures` are those in a row while it is closed, `opens` the pauses in a row; `probe_by` is let through alone.
CREATE TABLE sluicegate.circuits (
    name        text PRIMARY KEY,
    state       text NOT NULL DEFAULT 'closed' CHECK (state IN ('closed', 'open', 'half_open')),
    failures    integer NOT NULL DEFAULT 0,
    opens       integer NOT NULL DEFAULT 0,
    opened_at   timestamptz,
    until       timestamptz,
    probe_by    text,
    probe_until timestamptz,
    last_fault  text,
    last_detail text,
    pipelines   text[] NOT NULL DEFAULT '{}',
    changed_at  timestamptz NOT NULL DEFAULT clock_timestamp()
);
