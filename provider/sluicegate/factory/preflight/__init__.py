"""What the steps of a pipeline cannot do in a run, found before there is one."""
