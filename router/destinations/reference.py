"""docs/destinations/format.md: the catalogue file's format, written from the structs of spec.py.

`python -m router.destinations.reference` prints it; a test keeps the page equal to it, and runs the
example in it.
"""

from __future__ import annotations

from router.destinations import spec
from router.workspace.reference import model_tables

EXAMPLE = """\
name = "Acme Analytics"
docs = "https://docs.acme.example/api"
category = "analytics"
description = "Events and people, in batches."
url = "if(settings.region = 'eu', 'https://eu.acme.example', 'https://api.acme.example')"

[settings.apiKey]
type = "secret"
label = "API key"
required = true

[settings.region]
type = "choice"
choices = ["us", "eu"]
default = "us"

[auth]
bearer = "settings.apiKey"

[limits]
rate = 50
concurrency = 4

[actions.events]
when = 'type = "track"'
path = "'/v1/events'"
body = { events = "rows" }
batch = { events = 100, bytes = 500000, seconds = 1.0 }

[actions.events.fields]
"id!" = "messageId"
"name!" = "event"
user = "userId ?? anonymousId"
time = "timestamp"
"..." = "properties"

[[responses]]
status = [409]
then = "delivered"
because = "'known already'"

[[tests]]
does = "a track becomes an event"
settings = { apiKey = "k", region = "eu" }
events = '[{"type": "track", "event": "E", "userId": "u", "messageId": "m", "timestamp": "2026-01-01T00:00:00.000Z", "properties": {"total": 5}}]'
sends = '[{"url": "https://eu.acme.example/v1/events", "headers": {"Authorization": "Bearer k"}, "body": {"events": [{"id": "m", "name": "E", "user": "u", "time": "2026-01-01T00:00:00.000Z", "total": 5}]}}]'
"""

_HEAD = """\
# Writing a destination

<!-- Written by `python -m router.destinations.reference`. -->

A destination is one TOML file: `router/destinations/catalog/<slug>.toml`, or `catalog/<slug>.toml` in
a workspace for one of your own. It says which settings an instance has, which events become which
requests, how a request proves who sends it, and what the vendor's answers mean. Everything else
(batching, retries, dead letters, its form and its checks) follows from the file, and its examples
run as tests: `router test`.

Every value that is not plainly text is an [expression](../expressions.md) over the event, and over
`settings`. The whole of a small one:

```toml
"""

_AFTER = """```

An event goes to every action whose `when` is true. A member of `fields` whose name ends in `!` is
required: an event that lacks it is a dead letter that says so. A member without a value is left out;
`"..."` adds the members of an object that are not named. `fields = "$"`, the default, sends the event
as it is stored.

What an answer means without any `[[responses]]`: 2xx delivered; 408, 425, 5xx and network errors are
tried again, 409 and 423 too; 429 pauses the destination; 401 and 403 pause it too, until the settings change; 400 and
413 of a batch halve it until the culprit stands alone; any other 4xx is a dead letter.
"""

_PAGES = (
    ("The file", ("Spec",)),
    ("`[settings.<name>]`", ("Setting",)),
    ("`[auth]` and `[[sign]]`", ("Auth", "Signature")),
    ("`[actions.<name>]`", ("Action", "Batching")),
    ("`[limits]`", ("Limits",)),
    ("`[[responses]]`", ("Rule",)),
    ("`[[tests]]`", ("Test",)),
)


def reference() -> str:
    """The whole page, as Markdown."""
    pages = [f"\n## {title}\n{model_tables(spec, names)}" for title, names in _PAGES]
    return "".join([_HEAD, EXAMPLE, _AFTER, *pages])


if __name__ == "__main__":
    print(reference(), end="")
