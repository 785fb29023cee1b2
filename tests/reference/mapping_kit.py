"""Segment's mapping directives, resolved as plainly as can be; null is what is missing."""

from __future__ import annotations

import json
import re
from typing import Any


def resolve(mapping: Any, payload: Any) -> Any:
    if isinstance(mapping, list):
        return [resolve(item, payload) for item in mapping]
    if not isinstance(mapping, dict):
        return mapping
    name = next((key for key in mapping if key.startswith("@")), None)
    if name is None:
        pairs = [(key, resolve(item, payload)) for key, item in mapping.items()]
        return {key: value for key, value in pairs if value is not None}
    return directive(name, mapping[name], payload)


def directive(name: str, value: Any, payload: Any) -> Any:
    if name == "@path":
        return at(payload, value)
    if name == "@template":
        pattern = r"\{\{\{([^}]+)\}\}\}|\{\{([^}]+)\}\}"
        return re.sub(pattern, lambda m: text(at(payload, (m[1] or m[2]).strip())), value)
    if name in ("@literal", "@excludeWhenNull"):
        return resolve(value, payload)
    if name == "@if":
        if "exists" in value:
            holds = resolve(value["exists"], payload) is not None
        else:
            found = resolve(value["blank"], payload)
            holds = found is not None and found != "" and found is not False and found != 0
        return resolve(value.get("then"), payload) if holds else or_none(value.get("else"), payload)
    if name == "@case":
        found = resolve(value.get("value"), payload)
        if not isinstance(found, str):
            return found
        return found.lower() if value["operator"] == "lower" else found.upper()
    if name == "@json":
        found = resolve(value["value"], payload)
        if value["mode"] == "encode":
            return (
                None
                if found is None
                else json.dumps(found, separators=(",", ":"), ensure_ascii=False)
            )
        try:
            decoded = json.loads(found) if isinstance(found, str) else found
        except ValueError:
            return found
        return found if decoded is None else decoded
    return composite(name, value, payload)


def composite(name: str, value: Any, payload: Any) -> Any:
    if name == "@arrayPath":
        root = value[0]
        found = at(payload, root) if isinstance(root, str) else resolve(root, payload)
        if not isinstance(found, dict | list) or len(value) < 2 or not value[1]:
            return found
        return [resolve(value[1], item) for item in (found if isinstance(found, list) else [found])]
    if name == "@merge":
        objects = [resolve(each, payload) for each in value["objects"]]
        merged: dict[str, Any] = {}
        for each in objects if value["direction"] == "right" else reversed(objects):
            merged.update(each if isinstance(each, dict) else {})
        return merged
    if name == "@transform":
        return resolve(value["mapping"], resolve(value["apply"], payload))
    if name == "@flatten":
        found = resolve(value["value"], payload)
        if not isinstance(found, dict):
            return found
        kinds = (dict,) if value.get("omitArrays") else (dict, list)
        return dict(flat(found, "", value.get("separator") or ".", kinds))
    raise ValueError(name)


def flat(value: Any, prefix: str, separator: str, kinds: tuple[type, ...]) -> Any:
    pairs = value.items() if isinstance(value, dict) else enumerate(value)
    for key, item in pairs:
        name = f"{prefix}{key}"
        if isinstance(item, kinds) and item:
            yield from flat(item, f"{name}{separator}", separator, kinds)
        else:
            yield name, item


def or_none(mapping: Any, payload: Any) -> Any:
    return resolve(mapping, payload) if mapping else None


def text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def at(payload: Any, path: str) -> Any:
    keys = re.findall(r"[^\[\].]+", path.replace("$.", "", 1)) if path != "$." else []
    for key in keys:
        if isinstance(payload, dict):
            payload = payload.get(key)
        elif isinstance(payload, list) and key.isdecimal() and int(key) < len(payload):
            payload = payload[int(key)]
        else:
            return None
    return payload
