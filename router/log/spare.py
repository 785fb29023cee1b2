"""The file the next segment is written into, made ready beforehand.

Overwriting blocks that are already on disk makes `fdatasync` cheaper than growing a file, and far
cheaper than writing into blocks that were only reserved. So a deleted segment's file is kept for its
next use, and where there is none a file of zeros is written in the background.
"""

from __future__ import annotations

import logging
import os
import threading
from pathlib import Path

_log = logging.getLogger(__name__)
_CHUNK = bytes(1 << 20)


class Spare:
    """At most one ready file in `folder`."""

    def __init__(self, folder: Path, size: int) -> None:
        self._path, self._aside = folder / "spare", folder / "spare.tmp"
        self._size = size
        self._thread: threading.Thread | None = None
        self._stop = threading.Event()
        self._aside.unlink(missing_ok=True)

    @property
    def bytes(self) -> int:
        try:
            return self._path.stat().st_size
        except OSError:
            return 0

    def keep(self, path: Path) -> bool:
        """Take over a deleted segment's file; False where it is not wanted."""
        if self._path.exists() or path.stat().st_size < self._size // 2:
            return False
        path.rename(self._path)
        return True

    def prepare(self) -> None:
        """Begin to write a file of zeros, unless one is ready or under way."""
        if self._path.exists() or (self._thread is not None and self._thread.is_alive()):
            return
        self._thread = threading.Thread(target=self._write, name="log-spare", daemon=True)
        self._thread.start()

    def _write(self) -> None:
        try:
            fd = os.open(self._aside, os.O_CREAT | os.O_WRONLY | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            try:
                for _ in range(0, self._size, len(_CHUNK)):
                    if self._stop.wait(0.01):
                        return
                    os.write(fd, _CHUNK)
                    os.fdatasync(fd)
            finally:
                os.close(fd)
            self._aside.rename(self._path)
        except OSError as error:
            _log.info("no spare segment could be prepared", extra={"error": str(error)})
            self._aside.unlink(missing_ok=True)

    def take(self, path: Path) -> bool:
        """Give the ready file the name `path`; False where there is none."""
        try:
            self._path.rename(path)
        except OSError:
            return False
        return True

    def close(self) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
        self._aside.unlink(missing_ok=True)
