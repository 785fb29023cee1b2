"""Delivery: every destination is its own consumer of the log, and waits for nobody else's."""
