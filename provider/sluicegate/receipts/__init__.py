"""Receipts: what code, configuration and input made the numbers of a run, kept try by try, read run by run.

Imports no Airflow but in `begun`, which knows a task's context.
"""
