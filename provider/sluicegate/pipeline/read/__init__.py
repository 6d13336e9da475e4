"""From text to models: one reader for each section of a file and each kind of step."""
