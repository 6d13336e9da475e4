"""The ledger in Postgres: schema `sluicegate` beside the data, in the data's own database."""
