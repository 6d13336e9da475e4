"""A folder of Parquet files as a target: a directory or a prefix of S3. Its ledger is in a Postgres."""
