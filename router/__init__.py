"""Event Router: collect every event once, keep it safe, route it everywhere."""

__version__ = "0.1.0"
