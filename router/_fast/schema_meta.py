"""The metaschema of draft-07 (https://json-schema.org/draft-07/schema), for schemas that refer to it."""

from __future__ import annotations

from typing import Any

_COUNT: dict[str, Any] = {"$ref": "#/definitions/nonNegativeInteger"}
_COUNT_0: dict[str, Any] = {"$ref": "#/definitions/nonNegativeIntegerDefault0"}
_STRINGS: dict[str, Any] = {"$ref": "#/definitions/stringArray"}
_SCHEMAS: dict[str, Any] = {"$ref": "#/definitions/schemaArray"}
_SELF: dict[str, Any] = {"$ref": "#"}
_MAP: dict[str, Any] = {"type": "object", "additionalProperties": _SELF, "default": {}}

URI = "http://json-schema.org/draft-07/schema"

METASCHEMA: dict[str, Any] = {
    "$schema": f"{URI}#",
    "$id": f"{URI}#",
    "title": "Core schema meta-schema",
    "definitions": {
        "schemaArray": {"type": "array", "minItems": 1, "items": _SELF},
        "nonNegativeInteger": {"type": "integer", "minimum": 0},
        "nonNegativeIntegerDefault0": {"allOf": [_COUNT, {"default": 0}]},
        "simpleTypes": {
            "enum": ["array", "boolean", "integer", "null", "number", "object", "string"]
        },
        "stringArray": {
            "type": "array", "items": {"type": "string"}, "uniqueItems": True, "default": [],
        },
    },
    "type": ["object", "boolean"],
    "properties": {
        "$id": {"type": "string", "format": "uri-reference"},
        "$schema": {"type": "string", "format": "uri"},
        "$ref": {"type": "string", "format": "uri-reference"},
        "$comment": {"type": "string"},
        "title": {"type": "string"},
        "description": {"type": "string"},
        "default": True,
        "readOnly": {"type": "boolean", "default": False},
        "writeOnly": {"type": "boolean", "default": False},
        "examples": {"type": "array", "items": True},
        "multipleOf": {"type": "number", "exclusiveMinimum": 0},
        "maximum": {"type": "number"},
        "exclusiveMaximum": {"type": "number"},
        "minimum": {"type": "number"},
        "exclusiveMinimum": {"type": "number"},
        "maxLength": _COUNT,
        "minLength": _COUNT_0,
        "pattern": {"type": "string", "format": "regex"},
        "additionalItems": _SELF,
        "items": {"anyOf": [_SELF, _SCHEMAS], "default": True},
        "maxItems": _COUNT,
        "minItems": _COUNT_0,
        "uniqueItems": {"type": "boolean", "default": False},
        "contains": _SELF,
        "maxProperties": _COUNT,
        "minProperties": _COUNT_0,
        "required": _STRINGS,
        "additionalProperties": _SELF,
        "definitions": _MAP,
        "properties": _MAP,
        "patternProperties": {**_MAP, "propertyNames": {"format": "regex"}},
        "dependencies": {
            "type": "object", "additionalProperties": {"anyOf": [_SELF, _STRINGS]},
        },
        "propertyNames": _SELF,
        "const": True,
        "enum": {"type": "array", "items": True},
        "type": {
            "anyOf": [
                {"$ref": "#/definitions/simpleTypes"},
                {
                    "type": "array", "items": {"$ref": "#/definitions/simpleTypes"},
                    "minItems": 1, "uniqueItems": True,
                },
            ]
        },
        "format": {"type": "string"},
        "contentMediaType": {"type": "string"},
        "contentEncoding": {"type": "string"},
        "if": _SELF,
        "then": _SELF,
        "else": _SELF,
        "allOf": _SCHEMAS,
        "anyOf": _SCHEMAS,
        "oneOf": _SCHEMAS,
        "not": _SELF,
    },
    "default": True,
}  # fmt: skip
