"""Looks at what pipelines need before they run: Airflow, connections, AWS. It changes nothing that stays.

Each look is a `Finding` with its remedy; one that fails never keeps the others from being made.
"""
