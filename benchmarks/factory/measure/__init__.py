"""What the benchmarks of the factory share: the workload, the contenders, and processes that parse like Airflow."""
