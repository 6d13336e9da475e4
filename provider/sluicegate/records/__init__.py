"""Files as records: CSV, JSON lines and Parquet, read as raw values, inferred and written."""
