"""YAML with positions, the defaults around it, `${env:...}`, and the digest of what a file says."""
