"""Plain-Python twins of the compiled parts, for property tests to compare with."""
