"""Arguments of operators and DAGs: signatures, annotations, and the coercion of YAML values to them."""
