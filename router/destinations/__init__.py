"""Destinations: an engine that knows no vendor, and `catalog/`, one file a vendor."""

from router.destinations.catalog import Catalog, catalog
from router.destinations.compiled import Compiled, NotApplicable, compile_destination

__all__ = ["Catalog", "Compiled", "NotApplicable", "catalog", "compile_destination"]
