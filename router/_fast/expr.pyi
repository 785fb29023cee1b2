from collections.abc import Mapping
from typing import Any

class Expr:
    text: str
    paths: frozenset[str]
    def eval(
        self,
        event: dict[str, Any],
        settings: Mapping[str, Any] | None = None,
        now_ms: int | None = None,
    ) -> Any: ...
    def test(
        self,
        event: dict[str, Any],
        settings: Mapping[str, Any] | None = None,
        now_ms: int | None = None,
    ) -> bool: ...

def compile(text: str) -> Expr: ...
def compile_fields(table: dict[str, Any]) -> Expr: ...

class MissingField(Exception):
    field: str
    def __init__(self, field: str) -> None: ...
