"""How Airflow finds pipelines: the scan of the dags root, compiled pipelines, stubs, snapshots, and the ways in."""
