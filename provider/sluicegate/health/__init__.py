"""How pipelines are: facts in, findings out; what is late and what did not run at all is noticed here."""
