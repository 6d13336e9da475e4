"""What every operator shares: the base operator, the DAG around steps, and the marks that runs leave."""
