"""Every metric the router has, declared once: name, labels and what it tells.

Hot paths bind their label values once (`ACCEPTED.labels(source)`) and add whole batches.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import HistogramMetricFamily
from prometheus_client.registry import Collector

disable_created_metrics()  # type: ignore[no-untyped-call]
REGISTRY = CollectorRegistry()

_FAST = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5)
_SLOW = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800, 7200, 14400)


def _counter(name: str, help_: str, *labels: str) -> Counter:
    return Counter(f"router_{name}", help_, labels, registry=REGISTRY)


def _gauge(name: str, help_: str, *labels: str) -> Gauge:
    return Gauge(f"router_{name}", help_, labels, registry=REGISTRY)


def _histogram(name: str, help_: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
    return Histogram(f"router_{name}", help_, labels, buckets=buckets, registry=REGISTRY)


class _Buckets:
    """Counts of one label value."""

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self._bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def observe_many(self, value: float, count: int) -> None:
        self.counts[bisect_left(self._bounds, value)] += count
        self.sum += value * count


class BulkHistogram(Collector):
    """A histogram that takes the same value many times in one call, which the library's cannot."""

    def __init__(self, name: str, help_: str, bounds: tuple[float, ...], label: str) -> None:
        self._name, self._help, self._bounds, self._label = f"router_{name}", help_, bounds, label
        self._children: dict[str, _Buckets] = {}
        REGISTRY.register(self)

    def labels(self, value: str) -> _Buckets:
        return self._children.setdefault(value, _Buckets(self._bounds))

    def collect(self) -> Iterator[HistogramMetricFamily]:
        family = HistogramMetricFamily(self._name, self._help, labels=[self._label])
        for value, child in list(self._children.items()):
            running, buckets = 0, []
            for bound, count in zip((*self._bounds, "+Inf"), child.counts, strict=True):
                running += count
                buckets.append((str(bound), float(running)))
            family.add_metric([value], buckets, child.sum)
        yield family


REQUESTS = _counter("requests", "HTTP requests at the edge, by status code.", "status")
RETRIED_REQUESTS = _counter("sdk_retries", "Requests that carried X-Retry-Count above 0.")
CONNECTIONS = _gauge("connections", "Open connections at the edge.")
REFUSED_CONNECTIONS = _counter(
    "connections_refused", "Connections closed at the cap or a time-out.", "reason"
)
RECEIVED_BYTES = _counter("received_bytes", "Bytes of request bodies, as sent.")
ACCEPTED = _counter("events_accepted", "Events answered 200 and durable.", "source")
DUPLICATES = _counter(
    "events_duplicate", "Events dropped because their messageId was seen.", "source"
)
REJECTED = _counter("events_rejected", "Events or bodies refused, by reason.", "source", "reason")
REJECTED_UNRECORDED = _counter(
    "rejected_unrecorded", "Refused events that were counted but not kept in the store."
)

LOG_END = _gauge("log_end_offset", "Offset the next event will get.")
LOG_BYTES = _gauge("log_bytes", "Bytes of the event log on disk.")
LOG_APPENDED_BYTES = _counter("log_appended_bytes", "Bytes appended to the event log.")
SYNC_SECONDS = _histogram("log_sync_seconds", "Time of one write and fdatasync.", _FAST)
SYNC_EVENTS = _counter("log_synced_events", "Events made durable.")
LOG_FULL = _gauge("log_full", "1 while appends are refused for want of room.")

LAG_EVENTS = _gauge(
    "destination_lag_events", "Events in the log a destination has not settled.", "destination"
)
OLDEST_SECONDS = _gauge(
    "destination_oldest_undelivered_seconds",
    "Age of the oldest event that is neither delivered, filtered nor dead.",
    "destination",
)
QUEUED_ROWS = _gauge(
    "destination_queued_rows", "Rows mapped and waiting in a batch or in flight.", "destination"
)
RETRYING = _gauge(
    "destination_retrying_events", "Rows in the retry store, or held behind one.", "destination"
)
RESENT = _counter(
    "destination_resent",
    "Events that were on their way when the router stopped, and are sent again.",
    "destination",
)
UNORDERED = _counter(
    "destination_unordered",
    "Rows sent without order because too many of their user waited.",
    "destination",
)
DELIVERED = _counter("destination_delivered", "Events delivered.", "destination")
FILTERED = _counter(
    "destination_filtered",
    "Events not meant for the destination, by reason.",
    "destination",
    "reason",
)
RETRIED = _counter(
    "destination_retried", "Events given to the retry store, by reason.", "destination", "reason"
)
DEAD = _counter("destination_dead", "Events dead-lettered, by reason.", "destination", "reason")
NOT_APPLICABLE = _counter(
    "destination_not_applicable",
    "Events that an action passed over because they lack a field it needs.",
    "destination",
    "action",
    "field",
)
DEAD_DROPPED = _counter(
    "destination_dead_dropped", "Old dead letters that made room for new ones.", "destination"
)
STALLED = _gauge(
    "destination_stalled",
    "1 while events could be sent and nothing is tried, which is a defect.",
    "destination",
)
RETRIES_FULL = _gauge(
    "destination_retries_full", "1 while the retry store has no room for more.", "destination"
)
SACRIFICED = _counter(
    "destination_sacrificed",
    "Events that left the log undelivered, by the operator's choice.",
    "destination",
)
SENT_REQUESTS = _counter(
    "destination_requests", "Requests sent, by outcome.", "destination", "outcome"
)
REQUEST_SECONDS = _histogram(
    "destination_request_seconds", "Time of one request to a vendor.", _SLOW, "destination"
)
LATENCY = BulkHistogram(
    "destination_latency_seconds", "From receipt at the edge to delivery.", _SLOW, "destination"
)
PAUSED = _gauge(
    "destination_paused",
    "1 while a destination is paused by its breaker or a refusal of credentials.",
    "destination",
)

RELOADS = _counter("workspace_reloads", "Workspace reloads, by result.", "result")
INFO = _gauge("build_info", "Always 1; the labels tell the version.", "version")


def exposition() -> bytes:
    """All metrics in Prometheus' text format."""
    return generate_latest(REGISTRY)
