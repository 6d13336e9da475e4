"""Where records go: the protocol of a target, its types and commit, and a package for each kind of target."""
