from collections.abc import Mapping
from typing import Any

from router._fast.document import Document
from router._fast.expr_rows import MissingField as MissingField

class Expr:
    text: str
    paths: frozenset[str]
    hints: list[str]
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
    def eval_doc(
        self, doc: Document, settings: Mapping[str, Any] | None = None, now_ms: int | None = None
    ) -> Any: ...
    def test_doc(
        self, doc: Document, settings: Mapping[str, Any] | None = None, now_ms: int | None = None
    ) -> bool: ...
    def write_doc(
        self, doc: Document, settings: Mapping[str, Any] | None = None, now_ms: int | None = None
    ) -> bytes: ...
    def write_item(
        self,
        doc: Document,
        item: Any,
        settings: Mapping[str, Any] | None = None,
        now_ms: int | None = None,
    ) -> bytes: ...
    def write_form_doc(
        self, doc: Document, settings: Mapping[str, Any] | None = None, now_ms: int | None = None
    ) -> bytes: ...
    def test_many(
        self,
        docs: list[Document],
        settings: Mapping[str, Any] | None = None,
        now_ms: int | None = None,
    ) -> bytes: ...
    def write_many(
        self,
        docs: list[Document],
        settings: Mapping[str, Any] | None = None,
        now_ms: int | None = None,
    ) -> list[bytes | None]: ...

def compile(text: str, dialect: str = "router") -> Expr: ...
def compile_tree(tree: tuple[Any, ...], text: str = "") -> Expr: ...
def compile_fields(table: dict[str, Any]) -> Expr: ...
