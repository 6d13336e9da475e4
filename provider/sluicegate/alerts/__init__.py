"""Alerts: what is said when a pipeline has failed or is late, to whom, and once."""
