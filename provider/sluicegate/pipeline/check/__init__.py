"""What is wrong within one pipeline or between pipelines although each key is right by itself, and advice."""
