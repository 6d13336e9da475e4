"""Pure values about how pipelines hang together: edges, waits, windows, cron, locations. Imports no Airflow."""
