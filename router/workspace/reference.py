"""The settings reference in docs/configuration.md, written from the models themselves.

`python -m router.workspace.reference` prints it; a test keeps the file equal to it.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from types import ModuleType
from typing import NamedTuple

import msgspec
import orjson

from router.workspace import models

_PAGES = (
    ("`router.toml`", ("Server", "Control", "Limits", "Log", "Dedup", "Delivery", "Logging")),
    ("`sources/<id>.toml`", ("Source",)),
    ("`destinations/<id>.toml`", ("Destination", "Mapping", "Filter", "Batch")),
)

_HEAD = """\
# Configuration

<!-- Written by `python -m router.workspace.reference`. -->

A workspace is a folder. Its files are the only configuration there is: people, git and the command
line all edit the same ones.

```
workspace/
  router.toml             settings of the process; may be absent
  sources/web.toml        an app that sends events; the file's name is its id
  destinations/sink.toml  where events go
  catalog/my-tool.toml    a destination type of your own, in the format of the built-in ones
```

The smallest useful files:

```toml
# sources/web.toml
name = "Web"
write_key = "a-long-random-string"
```

```toml
# destinations/sink.toml
destination = "webhook"
sources = ["web"]
enabled = true

[settings]
url = "https://example.com/hook"
```

`${NAME}` in any string is the environment variable, `${file:/path}` the file's content, and `$${` a
literal `${`. A key that is not known, a value of the wrong type, a source that does not exist: each
is an error with file, line and a suggestion. `router check` prints them all and exits with 78.

A running router reads the workspace again when a file changes and on SIGHUP. The change is checked
as a whole and swapped in at once; a bad one is refused, said in the log, and the running one stays.
`server.host`, `server.port`, `control`, `dedup`, `logging`, `log.bytes` and `log.segment_bytes` take
effect at the next start.
"""


class Setting(NamedTuple):
    """One row of the reference."""

    name: str
    kind: str
    default: str
    help: str


_KINDS = {
    "Text": "text", "str": "text", "Count": "whole number", "int": "whole number",
    "Port": "port", "Seconds": "number", "float": "number", "bool": "true or false",
    "list[str]": "list of text", "list[int | str]": "list", "dict[str, Any]": "table",
}  # fmt: skip


def _kind(annotation: ast.expr) -> str:
    text = ast.unparse(annotation).removesuffix(" | None")
    if text.startswith("Annotated["):
        text = text.removeprefix("Annotated[").split(",", 1)[0]
    if text.startswith("Literal["):
        return text.removeprefix("Literal[").rstrip("]").replace("'", '"').replace(", ", " or ")
    return _KINDS.get(text, "table")


def _settings(module: ModuleType, node: ast.ClassDef) -> Iterator[Setting]:
    model = getattr(module, node.name)
    defaults = {field.name: field for field in msgspec.structs.fields(model)}
    for field, after in zip(node.body, [*node.body[1:], None], strict=True):
        if not (isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)):
            continue
        text = ""
        if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant):
            text = " ".join(str(after.value.value).split())
        name = field.target.id
        of_it = defaults[name]
        yield Setting(of_it.encode_name, _kind(field.annotation), _default(of_it), text)


def _default(field: msgspec.structs.FieldInfo) -> str:
    if field.required:
        return "required"
    value = field.default
    if value is msgspec.NODEFAULT:
        value = field.default_factory()
    if value is None or value == "" or value == {} or value == []:
        return ""
    if isinstance(value, msgspec.Struct):
        return ""
    return f"`{orjson.dumps(value).decode()}`"


def model_tables(module: ModuleType, names: tuple[str, ...]) -> str:
    """For each struct of `module` named: its docstring, and its fields as a Markdown table."""
    tree = ast.parse(inspect.getsource(module))
    classes = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}
    parts = []
    for name in names:
        summary = " ".join((ast.get_docstring(classes[name]) or "").split())
        parts.append(f"\n{summary}\n\n| key | type | default | |\n| --- | --- | --- | --- |\n")
        parts += [
            f"| `{row.name}` | {row.kind} | {row.default} | {row.help.replace('|', '/')} |\n"
            for row in _settings(module, classes[name])
        ]
    return "".join(parts)


def reference() -> str:
    """The whole page, as Markdown."""
    pages = [f"\n## {title}\n{model_tables(models, names)}" for title, names in _PAGES]
    return "".join([_HEAD, *pages])


if __name__ == "__main__":
    print(reference(), end="")
