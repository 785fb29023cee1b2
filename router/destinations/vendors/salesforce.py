"""Salesforce records: made, changed, made or changed, deleted, found by id, by external id or by SOQL.

Rows are `{object, operation, record, …}`: `traits` are the members by which a record is looked for,
`operator` joins them, `external` names an external id's field and value, `id` is the record's own.
Several rows of one operation go in one request through sObject Collections, up to 200, each with a
result of its own (REST API Developer Guide, "sObject Collections").
"""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import quote

import orjson

from router.destinations.encode import json_bytes
from router.destinations.http import Client
from router.destinations.outcome import Outcome, Verdict

Row = dict[str, Any]

_JSON = {"Content-Type": "application/json"}
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*\Z")
_BUSY = re.compile(r"UNABLE_TO_LOCK_ROW|Too many SOQL queries", re.IGNORECASE)
_NOT_FOUND = Verdict(Outcome.dropped, "no record has these traits")
_SEVERAL = Verdict(Outcome.dropped, "several records have these traits")


async def write(rows: list[Row], settings: dict[str, Any], http: Client) -> list[Verdict]:
    """A verdict for each of the rows, which share an object and an operation."""
    base = f"{settings['instanceUrl'].rstrip('/')}/services/data/{settings['apiVersion']}"
    known = [row for row in rows if _direct(row)]
    if len(known) < 2:
        return [await _write_one(row, base, http) for row in rows]
    together = iter(await _write_all(known, base, http))
    return [next(together) if _direct(row) else await _write_one(row, base, http) for row in rows]


def _direct(row: Row) -> bool:
    """Can it be written without a look-up?"""
    if row["operation"] == "create":
        return True
    return row["operation"] in ("update", "upsert") and bool(row.get("id") or row.get("external"))


async def _ask(http: Client, method: str, url: str, body: Any = None) -> tuple[Verdict, Any]:
    data = b"" if body is None else json_bytes(body)
    status, headers, answer = await http.request(method, url, {} if body is None else _JSON, data)
    try:
        value = orjson.loads(answer)
    except orjson.JSONDecodeError:
        value = None
    return http.verdict(status, headers, answer), value


async def _write_one(row: Row, base: str, http: Client) -> Verdict:
    kind, operation = row["object"], row["operation"]
    if not _NAME.match(kind):
        return Verdict(Outcome.dropped, f"no name of an object: {kind[:50]}")
    url, record = f"{base}/sobjects/{kind}", row.get("record") or {}
    if operation == "create":
        return (await _ask(http, "POST", url, record))[0]
    if external := row.get("external"):
        key = f"{_plain(external['externalIdName'])}/{quote(str(external['externalIdValue']), safe='')}"
        method, body = ("DELETE", None) if operation == "delete" else ("PATCH", record)
        return (await _ask(http, method, f"{url}/{key}", body))[0]
    id_ = row.get("id") or (row.get("traits") or {}).get("Id")
    if id_ is None:
        found, id_ = await _look_up(row, base, http)
        if operation == "upsert" and found is _NOT_FOUND:
            return (await _ask(http, "POST", url, record))[0]
        if found.outcome is not Outcome.delivered:
            return found
    method, body = ("DELETE", None) if operation == "delete" else ("PATCH", record)
    return (await _ask(http, method, f"{url}/{quote(str(id_), safe='')}", body))[0]


async def _look_up(row: Row, base: str, http: Client) -> tuple[Verdict, str]:
    """The id of the only record with the row's traits."""
    query = soql(row["object"], row.get("traits") or {}, row.get("operator", "OR"))
    if not query:
        return Verdict(
            Outcome.dropped, "a record can be looked for by texts, numbers, booleans"
        ), ""
    verdict, answer = await _ask(http, "GET", f"{base}/query/?q={quote(query, safe='')}")
    if verdict.outcome is not Outcome.delivered:
        return verdict, ""
    found = answer if isinstance(answer, dict) else {}
    if found.get("totalSize") == 0:
        return _NOT_FOUND, ""
    records = found.get("records")
    if found.get("totalSize") != 1 or not isinstance(records, list) or not records:
        several = isinstance(found.get("totalSize"), int)
        return (_SEVERAL if several else Verdict(Outcome.dropped, "no answer to the query")), ""
    return verdict, str(records[0].get("Id"))


def soql(kind: str, traits: Row, operator: str) -> str:
    """The query; empty where a trait is neither text, number nor boolean, or there is none."""
    tests = []
    for name, value in traits.items():
        if isinstance(value, str):
            escaped = value.replace("\\", "\\\\").replace("'", "\\'")
            tests.append(f"{_plain(name)} = '{escaped}'")
        elif isinstance(value, bool | int | float):
            tests.append(f"{_plain(name)} = {orjson.dumps(value).decode()}")
        else:
            return ""
    joined = (" AND " if operator == "AND" else " OR ").join(tests)
    return f"SELECT Id FROM {kind} WHERE {joined}" if tests else ""


def _plain(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_]", "", name)


async def _write_all(rows: list[Row], base: str, http: Client) -> list[Verdict]:
    """Rows that need no look-up, in as few requests as they allow."""
    verdicts: dict[int, Verdict] = {}
    groups: dict[tuple[str, str], list[int]] = {}
    for place, row in enumerate(rows):
        field = (
            "" if row.get("id") else _plain((row.get("external") or {}).get("externalIdName", ""))
        )
        groups.setdefault((row["operation"], field), []).append(place)
    for (operation, field), places in groups.items():
        part = [rows[place] for place in places]
        found = await _collection(part, operation, field, base, http)
        verdicts |= dict(zip(places, found, strict=True))
    return [verdicts[place] for place in range(len(rows))]


async def _collection(
    rows: list[Row], operation: str, field: str, base: str, http: Client
) -> list[Verdict]:
    kind = rows[0]["object"]
    if not _NAME.match(kind):
        return [Verdict(Outcome.dropped, f"no name of an object: {kind[:50]}")] * len(rows)
    records = []
    for row in rows:
        record = {"attributes": {"type": kind}, **(row.get("record") or {})}
        if field:
            record[field] = row["external"]["externalIdValue"]
        elif operation != "create":
            record["id"] = row["id"]
        records.append(record)
    url = f"{base}/composite/sobjects" + (f"/{kind}/{field}" if field else "")
    method = "POST" if operation == "create" else "PATCH"
    body = {"allOrNone": False, "records": records}
    verdict, answer = await _ask(http, method, url, body)
    if verdict.outcome is not Outcome.delivered:
        outcome = Outcome.split if verdict.outcome is Outcome.dropped else verdict.outcome
        return [Verdict(outcome, verdict.reason)] * len(rows)
    if not isinstance(answer, list) or len(answer) != len(rows):
        return [Verdict(Outcome.retry, "the answer has not a result for each record")] * len(rows)
    return [_result(each) for each in answer]


def _result(result: Any) -> Verdict:
    """What became of one record of a collection."""
    if isinstance(result, dict) and result.get("success") is True:
        return Verdict(Outcome.delivered)
    errors = result.get("errors") if isinstance(result, dict) else None
    first = errors[0] if isinstance(errors, list) and errors and isinstance(errors[0], dict) else {}
    code = first.get("statusCode") or first.get("errorCode")
    reason = f"{code}: {first.get('message')}"[:300]
    return Verdict(Outcome.retry if _BUSY.search(reason) else Outcome.dropped, reason)
