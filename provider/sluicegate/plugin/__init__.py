"""What Sluicegate adds to Airflow's own processes: the endpoint that says how pipelines are."""
