"""Recorded requests of other routers against ours. `python -m tests.conformance` prints the table."""
