"""Loads of records that a job on a cluster has checked: its report, its files, and what is left to do here."""
