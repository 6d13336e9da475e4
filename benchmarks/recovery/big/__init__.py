"""A big Airflow, and the ways to recover a night in it."""
