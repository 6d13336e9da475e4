"""What depends on what, as pure values: edges, waits with their task ids, windows, cron, locations, order.

Imports no Airflow, and of `pipeline` only the model, its texts and diagnostics.
"""
