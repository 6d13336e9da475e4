"""An EMR and a clock by script, and what runs jobs on it."""
