"""What a run says to machines while it goes: events in the log, and metrics. It never makes a step fail."""
