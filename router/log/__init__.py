"""The event log."""

from router.log.frame import Record
from router.log.log import EventLog

__all__ = ["EventLog", "Record"]
