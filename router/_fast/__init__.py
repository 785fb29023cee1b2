"""What runs once per event or more, compiled. Plain-Python twins live in tests/reference."""
