"""The workspace a first start writes: one source, the file archive, and settings to read."""

from __future__ import annotations

import secrets
from pathlib import Path

_ROUTER = """\
# Event Router's process settings; everything here is optional. `router check` validates them.

[server]
# host = "127.0.0.1"
# port = 8080
# public_url = "https://events.example.com"   # how SDKs reach this router

[control]
# port = 8081                                 # metrics, health and API

[limits]
# event_bytes = 32768
# body_bytes = 512000

[log]
# bytes = 21474836480                         # 20 GiB on disk at most
# hours = 168                                 # delivered events are kept a week for replay
"""

_SOURCE = """\
# A source is one app that sends events. The file's name is its id.
name = "Web"
write_key = "{write_key}"
"""

_ARCHIVE = """\
# Every event as JSON Lines, gzipped, one file an hour, under <data>/archive/.
destination = "file-archive"
sources = ["*"]
"""


def new_write_key() -> str:
    """32 characters that fit a URL, a header and a file name."""
    return secrets.token_hex(16)


def is_empty(folder: Path) -> bool:
    """True where `folder` holds none of a workspace's files."""
    return not any((folder / name).exists() for name in ("router.toml", "sources", "destinations"))


def create_workspace(folder: Path) -> None:
    """Write a first workspace into `folder`, which may not exist yet."""
    (folder / "sources").mkdir(parents=True, exist_ok=True)
    (folder / "destinations").mkdir(exist_ok=True)
    (folder / "router.toml").write_text(_ROUTER)
    source = folder / "sources" / "web.toml"
    source.write_text(_SOURCE.format(write_key=new_write_key()))
    source.chmod(0o600)
    (folder / "destinations" / "archive.toml").write_text(_ARCHIVE)
