"""The official JSON Schema test suite, draft-07: every lane has to say what the suite says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import orjson
import pytest

from router._fast.document import Document
from router._fast.schema import compile
from router.errors import SchemaError

SUITE = Path(__file__).parents[3] / "shared" / "vectors" / "jsonschema"

if not SUITE.is_dir():
    pytest.skip("the shared test vectors are not here", allow_module_level=True)

OPT_OUTS = {
    "optional/cross-draft.json": "a schema of another draft is refused, not half understood",
}


def remotes() -> dict[str, Any]:
    folder = SUITE / "remotes"
    return {
        f"http://localhost:1234/{path.relative_to(folder)}": json.loads(path.read_text())
        for path in folder.rglob("*.json")
    }


REMOTES = remotes()
GROUPS = [
    pytest.param(group, id=f"{path.relative_to(SUITE / 'draft7')}: {group['description']}")
    for path in sorted((SUITE / "draft7").rglob("*.json"))
    if str(path.relative_to(SUITE / "draft7")) not in OPT_OUTS
    for group in json.loads(path.read_text())
]


@pytest.mark.parametrize("group", GROUPS)
def test_the_suite(group: dict[str, Any]) -> None:
    schema = compile(group["schema"], resolve=REMOTES)
    wrapped = compile(
        {"properties": {"value": group["schema"]}}
        if "$ref" not in json.dumps(group["schema"])
        else {"properties": {"value": {"$ref": "urn:it"}}},
        resolve={**REMOTES, "urn:it": group["schema"]},
    )
    for test in group["tests"]:
        value, wanted = test["data"], test["valid"]
        assert schema.valid(value) is wanted, test["description"]
        assert (not schema.violations(value)) is wanted, test["description"]
        for ascii_only in (True, False):
            raw = json.dumps({"value": value}, ensure_ascii=ascii_only).encode()
            # The decoder makes doubles of integers beyond 64 bits, and so the document does.
            decoded = orjson.loads(raw)["value"]
            in_document = wanted if decoded == value else schema.valid(decoded)
            assert wrapped.valid_doc(Document(raw)) is in_document, test["description"]
            assert schema.valid_doc(Document(raw), ["value"]) is in_document, test["description"]


def test_other_drafts_are_refused() -> None:
    for path in OPT_OUTS:
        for group in json.loads((SUITE / "draft7" / path).read_text()):
            with pytest.raises(SchemaError, match="dialect"):
                compile(group["schema"], resolve=REMOTES)
