"""Everything on one machine: a local AWS that runs Spark, the stack around it, and the demo on that stack."""
