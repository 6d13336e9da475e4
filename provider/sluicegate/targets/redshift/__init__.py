"""Tables of Redshift as targets. Never run against a Redshift: tests have a stand-in."""
