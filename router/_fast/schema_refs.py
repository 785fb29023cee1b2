"""Where a `$ref` of JSON Schema draft-07 leads: base URIs, `$id`s, JSON pointers (core, section 8)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple
from urllib.parse import unquote, urldefrag, urljoin

from router._fast.schema_meta import METASCHEMA, URI
from router.errors import SchemaError

MAX_NESTING = 200

_ONE = ("additionalItems", "additionalProperties", "propertyNames", "contains", "not", "if", "then",
        "else", "items")  # fmt: skip
_MANY = ("allOf", "anyOf", "oneOf", "items")
_NAMED = ("properties", "patternProperties", "definitions", "dependencies")
_DRAFTS = ("http://json-schema.org/draft-07/schema", "http://json-schema.org/draft-06/schema",
           "http://json-schema.org/schema")  # fmt: skip


class Place(NamedTuple):
    """A schema, the base URI its `$ref`s are relative to, and its name for people: a JSON pointer,
    behind `uri#` in a schema other than the one compiled."""

    schema: Any
    base: str
    where: str


def escape(step: str | int) -> str:
    """A step of a JSON pointer (RFC 6901, section 3)."""
    return str(step).replace("~", "~0").replace("/", "~1")


def base_within(schema: Any, base: str, where: str) -> str:
    """The base URI inside of a schema that stands where the base is `base`."""
    if not isinstance(schema, dict) or "$ref" in schema:
        return base
    id_ = schema.get("$id", "")
    if not isinstance(id_, str):
        return base
    return urldefrag(_join(base, id_, where))[0] if id_ and not id_.startswith("#") else base


def _join(base: str, reference: str, where: str) -> str:
    if reference.startswith("#"):
        return base + reference
    try:
        return urljoin(base, reference)
    except ValueError as error:
        raise SchemaError(f"{reference[:100]!r} is no URI: {error}", pointer=where) from None


def _inner(schema: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """The schemas right in a schema, each with the pointer to it."""
    for key in _ONE:
        if isinstance(schema.get(key), dict):
            yield f"/{key}", schema[key]
    for key in _MANY:
        if isinstance(schema.get(key), list):
            for i, part in enumerate(schema[key]):
                yield f"/{key}/{i}", part
    for key in _NAMED:
        if isinstance(schema.get(key), dict):
            for name, part in schema[key].items():
                yield f"/{key}/{escape(name)}", part


class Registry:
    """All schemas that can be referred to by URI."""

    def __init__(self, schema: Any, resolve: Mapping[str, Any]) -> None:
        self._resolve = resolve
        self._known: dict[str, Place] = {}
        self.root = self._add("", schema, "")

    def _add(self, uri: str, schema: Any, where: str) -> Place:
        """Take in a document: the `$id`s of all schemas in it count."""
        if isinstance(schema, dict):
            self._check_draft(schema, where)
        root = Place(schema, base_within(schema, uri, where), where)
        self._known.setdefault(uri, root)
        waiting = [(schema, uri, where, 0)]
        while waiting:
            part, base, place, depth = waiting.pop()
            if not isinstance(part, dict):
                continue
            if depth > MAX_NESTING:
                raise SchemaError(f"schemas are nested deeper than {MAX_NESTING}",
                                  pointer=place[:100], hint="use definitions and $ref")  # fmt: skip
            id_ = part.get("$id")
            inside = base_within(part, base, place)
            if isinstance(id_, str) and id_ and "$ref" not in part:
                url, fragment = urldefrag(_join(base, id_, place))
                name = f"{url}#{fragment}" if fragment else url
                self._known.setdefault(name, Place(part, inside, place))
            waiting += [
                (inner, inside, place + step, depth + 1) for step, inner in _inner(part)
            ]  # fmt: skip
        return root

    @staticmethod
    def _check_draft(schema: dict[str, Any], where: str) -> None:
        draft = schema.get("$schema")
        if draft is None:
            return
        name = draft.rstrip("#").replace("https:", "http:") if isinstance(draft, str) else ""
        if name not in _DRAFTS:
            raise SchemaError(
                f"the dialect {str(draft)[:100]} is not supported", pointer=f"{where}/$schema",
                hint=f"write the schema for {URI}#",
            )  # fmt: skip

    def _document(self, uri: str, where: str) -> Place:
        found = self._known.get(uri)
        if found is not None:
            return found
        for name in (uri, f"{uri}#"):
            if name in self._resolve:
                return self._add(uri, self._resolve[name], f"{uri}#")
        if uri == URI:
            return self._add(uri, METASCHEMA, f"{uri}#")
        raise SchemaError(f"$ref leads to {uri[:200]}, which is not known", pointer=where,
                          hint="add it to the definitions, with its $id")  # fmt: skip

    def locate(self, reference: str, base: str, where: str) -> Place:
        """What `reference` leads to from a schema at `where` whose base is `base`."""
        target = _join(base, reference, where)
        uri, fragment = urldefrag(target)
        if fragment and not fragment.startswith("/"):
            if f"{uri}#{fragment}" not in self._known:
                self._document(uri, where)
            found = self._known.get(f"{uri}#{fragment}")
            if found is None:
                raise SchemaError(f"$ref leads to {target[:200]}, and there is no such $id",
                                  pointer=where)  # fmt: skip
            return found
        place = self._document(uri, where)
        for step in unquote(fragment).split("/")[1:]:
            place = _step(place, step, reference, where)
        return place


def _step(place: Place, step: str, reference: str, where: str) -> Place:
    schema = place.schema
    name = step.replace("~1", "/").replace("~0", "~")
    inner: Any = None
    if isinstance(schema, dict) and name in schema:
        inner = schema[name]
    elif isinstance(schema, list) and name.isascii() and name.isdecimal() and len(name) < 9:
        inner = schema[int(name)] if int(name) < len(schema) else None
    if inner is None:
        raise SchemaError(f"$ref leads to {reference[:200]}, and there is nothing", pointer=where,
                          hint="check the pointer against the definitions")  # fmt: skip
    path = f"{place.where}/{step}"
    return Place(inner, base_within(inner, place.base, path), path)
