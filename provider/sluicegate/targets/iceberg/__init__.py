"""A table of Apache Iceberg as a target, by pyiceberg. Its ledger is in a Postgres."""
