"""Tests of pipelines before they are deployed: real operators, a scratch Postgres and S3, and no Airflow that runs.

Needs the extra `local`; only `fixtures` needs pytest.
"""
