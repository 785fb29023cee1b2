"""`router trace`"""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import click
import orjson

from router.cli._control import Control, control_options

_FILTERED = {
    "source": "not for it: its `sources` leave out this one",
    "integrations": "not for it: the event's `integrations` switch it off",
    "filter": "not for it: its `filter` is not true",
    "filters": "not for it: one of its `filters` drops the event",
    "filter_failed": "not for it: one of its `filters` failed",
    "no_action": "not for it: none of its actions is for such an event",
}


@click.command(
    epilog="\b\nExamples:\n  router trace 6f1a2b3c-0d4e\n  router trace 6f1a2b3c-0d4e --since 2d"
    "\n  router trace 6f1a2b3c-0d4e --json"
)
@click.argument("message_id")
@click.option("--since", default="", help="Search no further back: 2h, 7d, a time. [all of it]")
@click.option("--json", "as_json", is_flag=True, help="All of it as one JSON object.")
@control_options
@click.pass_context
def command(
    context: click.Context, message_id: str, since: str, as_json: bool,
    data: Path, control: str, token: str,
) -> None:  # fmt: skip
    """Tell what happened to one event at every station, by its MESSAGE_ID.

    Exits with 1 where nothing is known of it.
    """
    path = f"/v1/trace/{quote(message_id, safe='')}?{urlencode({'since': since})}"
    found = Control(data, control, token).get(path, timeout=60)
    if as_json:
        click.echo(orjson.dumps(found))
    else:
        for line in _lines(found):
            click.echo(line)
    if not found["events"] and not found["rejected"]:
        context.exit(1)


def _lines(found: dict[str, Any]) -> list[str]:
    lines = []
    for item in found["rejected"]:
        field = f" [{item['field']}]" if item.get("field") else ""
        lines.append(
            f"refused by the edge at {item['time']}, source {item.get('source') or '-'}: "
            f"{item['reason']}{field}: {item['message']}"
        )
    for event in found["events"]:
        lines.append(
            f"accepted at {event['receivedAt']} from source {event['source']}, "
            f"in the log at offset {event['offset']}"
        )
        width = max((len(each["destination"]) for each in event["destinations"]), default=0)
        lines += [
            f"  {each['destination']:{width}}  {_tell(each)}" for each in event["destinations"]
        ]
    if not found["events"]:
        lines.append(_not_found(found))
    if found["remembered"]:
        lines.append(
            f"sent again by source {', '.join(found['remembered'])} it is dropped as a duplicate"
        )
    return lines


def _not_found(found: dict[str, Any]) -> str:
    log = found["log"]
    if log["complete"]:
        gone = f", and the log begins at offset {log['start']}" if log["start"] else ""
        return f"not in the log{gone}"
    if log["searchedFrom"] is None:
        return "the search took too long: narrow it with --since"
    return f"not in the log from offset {log['searchedFrom']} on; the search took too long for more"


def _tell(at: dict[str, Any]) -> str:
    """What happened at one destination, in a line."""
    state = at["state"]
    if state == "delivered":
        return f"delivered at {at['deliveredAt']}"
    if state == "dead":
        last = at["letters"][-1]
        status = f", status {last['status']}" if last.get("status") else ""
        return f"dead after {last['attempts']} attempts{status}: {at['reason']}"
    if state == "retrying":
        return "; ".join(map(_tell_retry, at["retries"]))
    if state == "filtered":
        return _FILTERED.get(at["reason"], str(at["reason"]))
    if state == "unmappable":
        return f"cannot be mapped: {at['reason']}"
    if state == "in flight":
        return "queued or in flight"
    if state == "settled":
        return f"settled: its cursor stands at {at['cursor']}"
    before = f" behind {at['eventsBefore']:,} events" if "eventsBefore" in at else ""
    if at.get("disabled"):
        return f"waits{before} for the destination to be enabled"
    held_back = f"; the destination is held back: {at['heldBack']}" if "heldBack" in at else ""
    return f"waits in the log{before}{held_back}"


def _tell_retry(retry: dict[str, Any]) -> str:
    attempts = f"after {retry['attempts']} attempts: {retry['reason']}"
    if retry["nextAttempt"] is None:
        return "waits for an earlier event of its user"
    return f"waits for another try at {retry['nextAttempt']}, {attempts}"
