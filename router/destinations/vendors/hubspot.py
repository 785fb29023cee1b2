"""HubSpot contacts: changed by their address, made where there is none; many at once through the batch
endpoints (developers.hubspot.com/docs/api/crm/contacts).

A lifecycle stage moves forwards only: to move it backwards it has to be cleared first.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import orjson

from router.destinations.encode import json_bytes
from router.destinations.http import Client
from router.destinations.outcome import Outcome, Verdict

_CONTACTS = "https://api.hubapi.com/crm/v3/objects/contacts"
_JSON = {"Content-Type": "application/json"}
_DELIVERED = Verdict(Outcome.delivered)

Row = dict[str, Any]


async def upsert_contacts(rows: list[Row], settings: dict[str, Any], http: Client) -> list[Verdict]:
    """Rows are `{email, properties}`; of two with one address the last counts, for both."""
    by_email = {row["email"].lower(): row["properties"] for row in rows}
    if len(rows) == 1:
        [(_, properties)] = by_email.items()
        return [await _upsert(rows[0]["email"], properties, http)]
    verdicts = await _upsert_all(by_email, http)
    return [verdicts[row["email"].lower()] for row in rows]


async def _ask(http: Client, method: str, url: str, body: Any) -> tuple[Verdict, int, Any]:
    """The verdict, the status, and the answer's JSON where it is an object."""
    status, headers, data = await http.request(method, url, _JSON, json_bytes(body))
    try:
        answer = orjson.loads(data)
    except orjson.JSONDecodeError:
        answer = None
    return http.verdict(status, headers, data), status, answer if isinstance(answer, dict) else {}


async def _upsert(email: str, properties: Row, http: Client) -> Verdict:
    url = f"{_CONTACTS}/{quote(email, safe='')}?idProperty=email"
    verdict, status, answer = await _ask(http, "PATCH", url, {"properties": properties})
    if status == 404:
        verdict, _, _ = await _ask(http, "POST", _CONTACTS, {"properties": properties})
        return verdict
    stage = properties.get("lifecyclestage")
    if verdict.outcome is not Outcome.delivered or not stage or _stage(answer) == stage:
        return verdict
    verdict, _, _ = await _ask(http, "PATCH", url, {"properties": {"lifecyclestage": ""}})
    if verdict.outcome is Outcome.delivered:
        verdict, _, _ = await _ask(http, "PATCH", url, {"properties": properties})
    return verdict


def _stage(result: Any) -> Any:
    properties = result.get("properties") if isinstance(result, dict) else None
    return properties.get("lifecyclestage") if isinstance(properties, dict) else None


async def _upsert_all(by_email: dict[str, Row], http: Client) -> dict[str, Verdict]:
    """A verdict for each address."""
    wanted = {
        "properties": ["email", "lifecyclestage", "hs_additional_emails"],
        "idProperty": "email",
        "inputs": [{"id": email} for email in by_email],
    }
    verdict, _, answer = await _ask(http, "POST", f"{_CONTACTS}/batch/read", wanted)
    if verdict.outcome is not Outcome.delivered:
        return dict.fromkeys(by_email, _of_batch(verdict))
    ids = _found(answer, by_email)
    absent = [email for email in _absent(answer) if email in by_email and email not in ids]
    unsure = Verdict(Outcome.retry, "HubSpot did not say whether the contact exists")
    verdicts = dict.fromkeys(by_email, unsure)
    if absent:
        inputs = [{"properties": by_email[email]} for email in absent]
        verdict, _, _ = await _ask(http, "POST", f"{_CONTACTS}/batch/create", {"inputs": inputs})
        verdicts |= dict.fromkeys(absent, _of_batch(verdict))
    if ids:
        verdict = await _update_all({ids[email]: by_email[email] for email in ids}, http)
        verdicts |= dict.fromkeys(ids, _of_batch(verdict))
    return verdicts


def _of_batch(verdict: Verdict) -> Verdict:
    """One bad contact has the whole of a batch refused: the batch is halved to find it."""
    if verdict.outcome is Outcome.dropped:
        return Verdict(Outcome.split, verdict.reason)
    return verdict


def _found(answer: Row, by_email: dict[str, Row]) -> dict[str, str]:
    """The contacts' ids by the addresses asked for, which may be further ones of a contact."""
    ids: dict[str, str] = {}
    for result in _objects(answer.get("results")):
        properties = result.get("properties")
        if not isinstance(properties, dict) or not isinstance(result.get("id"), str):
            continue
        more = str(properties.get("hs_additional_emails") or "").split(";")
        for email in [str(properties.get("email") or ""), *more]:
            if email.lower() in by_email:
                ids.setdefault(email.lower(), result["id"])
    return ids


def _absent(answer: Row) -> list[str]:
    found: list[str] = []
    for error in _objects(answer.get("errors")):
        context = error.get("context")
        if error.get("category") == "OBJECT_NOT_FOUND" and isinstance(context, dict):
            found += [str(each).lower() for each in context.get("ids") or []]
    return found


def _objects(value: Any) -> list[Row]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


async def _update_all(by_id: dict[str, Row], http: Client) -> Verdict:
    def inputs(ids: list[str], *, stage: str | None = None) -> Row:
        return {
            "inputs": [
                {"id": id_, "properties": {"lifecyclestage": stage} if stage is not None else
                 {key: value for key, value in by_id[id_].items() if key != "email"}}
                for id_ in ids
            ]
        }  # fmt: skip

    url = f"{_CONTACTS}/batch/update"
    verdict, _, answer = await _ask(http, "POST", url, inputs(list(by_id)))
    if verdict.outcome is not Outcome.delivered:
        return verdict
    behind = [
        result["id"]
        for result in _objects(answer.get("results"))
        if result.get("id") in by_id
        and by_id[result["id"]].get("lifecyclestage") not in (None, _stage(result))
    ]
    if not behind:
        return verdict
    verdict, _, _ = await _ask(http, "POST", url, inputs(behind, stage=""))
    if verdict.outcome is Outcome.delivered:
        verdict, _, _ = await _ask(http, "POST", url, inputs(behind))
    return verdict
