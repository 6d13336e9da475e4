"""What a pipeline file may say: the models, the words about each key, and the schema and reference made of them."""
