from collections.abc import Mapping, Sequence
from typing import Any

from router._fast.document import Document
from router._fast.schema_messages import Violation as Violation

class Schema:
    def valid(self, value: Any) -> bool: ...
    def valid_doc(self, document: Document, path: Sequence[str] = ()) -> bool: ...
    def valid_many(self, documents: list[Document]) -> bytes: ...
    def violations(self, value: Any, limit: int = 100) -> list[Violation]: ...

def compile(
    schema: dict[str, Any] | bool,
    *,
    resolve: Mapping[str, Any] | None = None,
    formats: bool = True,
) -> Schema: ...
