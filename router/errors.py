"""The router's own errors. Each message says what is wrong and what to do about it."""

from __future__ import annotations


class RouterError(Exception):
    """Anything the router raises on purpose. `exit_code` is what the command line exits with."""

    exit_code = 1


class ConfigError(RouterError):
    """A workspace file is wrong.

    `file` is relative to the workspace, `line` and `column` count from 1 (0 = unknown).
    """

    exit_code = 78

    def __init__(
        self, message: str, *, file: str = "", line: int = 0, column: int = 0, hint: str = ""
    ) -> None:
        self.message, self.file, self.line, self.column, self.hint = (
            message,
            file,
            line,
            column,
            hint,
        )
        super().__init__(str(self))

    def __str__(self) -> str:
        place = ":".join(str(part) for part in (self.file, self.line, self.column) if part)
        text = f"{place}: {self.message}" if place else self.message
        return f"{text} ({self.hint})" if self.hint else text


class ConfigErrors(ConfigError):
    """Several `ConfigError`s found in one reading of a workspace."""

    def __init__(self, errors: list[ConfigError]) -> None:
        self.errors = errors
        super().__init__("\n".join(str(error) for error in errors))


class ExpressionError(RouterError):
    """An expression does not parse or names something unknown. `column` counts from 1."""

    exit_code = 78

    def __init__(self, message: str, *, text: str = "", column: int = 0, hint: str = "") -> None:
        self.message, self.text, self.column, self.hint = message, text, column, hint
        self.field = ""
        """Where the expression stands, once somebody knows."""
        place = f"column {column}: " if column else ""
        super().__init__(f"{place}{message}" + (f" ({hint})" if hint else ""))


class PatternError(RouterError):
    """A regular expression does not parse or is one that cannot be run in linear time.

    `column` counts from 1 (0 = the whole of it).
    """

    exit_code = 78

    def __init__(self, message: str, *, text: str = "", column: int = 0, hint: str = "") -> None:
        self.message, self.text, self.column, self.hint = message, text, column, hint
        place = f"column {column}: " if column else ""
        super().__init__(f"{place}{message}" + (f" ({hint})" if hint else ""))


class SchemaError(RouterError):
    """A JSON Schema cannot be compiled. `pointer` is the place in it (RFC 6901), "" the root."""

    exit_code = 78

    def __init__(self, message: str, *, pointer: str = "", hint: str = "") -> None:
        self.message, self.pointer, self.hint = message, pointer, hint
        place = f"{pointer}: " if pointer else ""
        super().__init__(f"{place}{message}" + (f" ({hint})" if hint else ""))


class Unavailable(RouterError):
    """The router cannot take an event for now. The edge answers 503 with `retry_after` seconds."""

    def __init__(self, message: str, retry_after: int = 5) -> None:
        self.retry_after = retry_after
        super().__init__(message)


class LogFull(Unavailable):
    """The disk, or the log's own byte limit, has no room for the append."""


class LogClosed(Unavailable):
    """The log is closing or closed: the process is about to stop."""


class LogCorrupt(RouterError):
    """A frame in the middle of the log fails its checksum."""


class NotRunning(RouterError):
    """A command needs a running router and none answers."""

    exit_code = 2
