"""Benchmarks. Each compares with a baseline measured in the same run; see `python -m bench -h`."""
