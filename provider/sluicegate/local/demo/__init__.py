"""The sample pipelines on the embedded stack: run them, watch them, say what they loaded and set aside."""
