"""Where records are loaded into: the protocol of a target, and Postgres."""
