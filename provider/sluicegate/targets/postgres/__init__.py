"""A Postgres table as a target: types, statements, one transaction with the ledger in it."""
