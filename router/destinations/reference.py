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

[actions.trackEvent]
when = 'type = "track"'
path = "'/v1/events'"
body = { events = "rows" }
batch = { events = 100, bytes = 500000, seconds = 1.0 }

[actions.trackEvent.fields]
"id!" = "messageId"
"name!" = { default = "event", type = "text", label = "Event name" }
user = { default = "userId ?? anonymousId", type = "text", label = "User" }
time = { default = "timestamp", type = "time", label = "Time" }
properties = { default = "properties", type = "object", label = "Properties" }

[actions.trackEvent.row]
id = "fields.id"
name = "fields.name"
user = "fields.user"
at = "epoch_ms(fields.time)"
"..." = "fields.properties"

[actions.page]
like = "trackEvent"
when = 'type = "page"'

[actions.page.fields]
name = "`Viewed ${name}`"

[actions.deleteUser]
label = "Delete a user"
when = 'type = "track" and event = "User Deleted"'

[actions.deleteUser.fields]
"email!" = { default = "context.traits.email ?? properties.email", type = "text" }

[[actions.deleteUser.steps]]
name = "person"
method = "GET"
path = "'/v1/people'"
query = { email = "fields.email" }
take = "people[0].id"
missing = [404]
cache = 300

[[actions.deleteUser.steps]]
name = "deleted"
if = "exists(steps.person)"
method = "DELETE"
path = "`/v1/people/${url_encode(steps.person)}`"

[[responses]]
status = [409]
then = "delivered"
because = "'known already'"

[[responses]]
status = [207]
each = "errors"
at = "id"
match = "id"
because = "message"

[[tests]]
does = "a track becomes an event"
settings = { apiKey = "k", region = "eu" }
events = '[{"type": "track", "event": "E", "userId": "u", "messageId": "m", "timestamp": "2026-01-01T00:00:00.000Z", "properties": {"total": 5}}]'
sends = '[{"url": "https://eu.acme.example/v1/events", "headers": {"Authorization": "Bearer k"}, "body": {"events": [{"id": "m", "name": "E", "user": "u", "at": 1767225600000, "total": 5}]}}]'

[[tests]]
does = "one row of two is refused"
settings = { apiKey = "k" }
events = '[{"type": "page", "name": "Home", "messageId": "m1"}, {"type": "page", "name": "Home", "messageId": "m2"}]'
reply = '{"status": 207, "body": {"errors": [{"id": "m2", "message": "no user"}]}}'
gives = ["delivered", "dropped: 207: no user"]

[[tests]]
does = "who is to be deleted is looked up first"
settings = { apiKey = "k" }
events = '[{"type": "track", "event": "User Deleted", "messageId": "m", "properties": {"email": "a@b.example"}}]'
replies = '[{"body": {"people": [{"id": "p/1"}]}}, {"status": 204, "body": ""}]'
sends = '''[{"url": "https://api.acme.example/v1/events", "body": {"events": [{"id": "m", "name": "User Deleted", "email": "a@b.example"}]}},
 {"method": "GET", "url": "https://api.acme.example/v1/people?email=a%40b.example"},
 {"method": "DELETE", "url": "https://api.acme.example/v1/people/p%2F1"}]'''
gives = ["delivered"]
"""

_HEAD = """\
# Writing a destination

<!-- Written by `python -m router.destinations.reference`. -->

A destination is one TOML file: `router/destinations/catalog/<slug>.toml`, or `catalog/<slug>.toml` in
a workspace for one of your own. It says which settings an instance has, which events become which
requests, how a request proves who sends it, and what the vendor's answers mean. Everything else
(batching, retries, dead letters, its form and its checks) follows from the file, and its examples
run as tests: `router destinations test`.

Every value that is not plainly text is an [expression](../expressions.md) over the event, and over
`settings`. The whole of a small one:

```toml
"""

_AFTER = """```

## From an event to a request

1. `when` tells which events trigger an action; an event goes to every action whose `when` is true.
2. `fields` take values from the event. They are what an instance may map otherwise, in expressions or
   in Segment's mapping JSON, so their names are Segment's where Segment has the destination. A name
   that ends in `!` is required: an event that has no such value is not sent, and is a dead letter that
   names the field unless `missing = "skip"`. A field has a `type`; values are converted to it.
3. `row` makes of them what the vendor wants: a table of expressions over `fields.…`, the event and
   `settings.…`. Members without a value are left out, `!` insists on one, `"..."` adds the members of
   an object that are not named, and tables may stand in tables. Without `row` it is all fields;
   `row = "$"` is the event as it is stored. With `each` there is a row for each `item` of a list.
4. Rows are batched, and a request is made: `url` and `path`, `method`, `query`, `headers`, and `body`
   around the rows. These too may read the event and fields. Only rows for which they come out alike
   then share a request.

`like` takes everything from another action that is not given. `part_of` makes a second request of the
same event and fields, e.g. for a user and for a group; `if` is its condition. `steps` are for requests
that need an earlier one's answer. Where that is not enough, `code` names a function

```python
async def send(rows: list[dict], settings: dict, http: Client) -> list[Verdict]: ...
```

whose `http.request(method, url, headers, body)` adds the file's headers and proof, and whose
`http.verdict(status, headers, body)` judges an answer by the file's rules.

What an answer means without any `[[responses]]`: 2xx delivered; 408, 425, 5xx and network errors are
tried again, 409 and 423 too; 429 throttles the destination; 401 and 403 pause it until the settings
change, after one attempt with a new token where there is OAuth; 413 halves a batch until the culprit
stands alone; any other 4xx is a dead letter, of a batch after it was halved likewise.

## In an instance

```toml
# destinations/acme.toml
destination = "acme"

[settings]
apiKey = "${ACME_KEY}"

[mappings.trackEvent]                  # other triggers and values for an action
when = 'type = "track" and event != "Heartbeat"'
fields = { user = "traits.account ?? userId" }

[mappings.page]
enabled = false

[mappings.signups]                     # the same action once more
action = "trackEvent"
subscribe = 'type = "identify"'        # as Segment writes it
mapping = '{"name": "Signed Up", "id": {"@path": "$.messageId"}, "user": {"@path": "$.userId"}}'
```

A file in the workspace's `catalog/` is a destination of your own. One with `extends = "mixpanel"` adds
to a built-in one: settings, actions, responses.
"""

_PAGES = (
    ("The file", ("Spec",)),
    ("`[settings.<name>]`", ("Setting", "Choice")),
    ("`[auth]` and `[[sign]]`", ("Auth", "OAuth", "Aws", "Signature")),
    ("`[actions.<name>]`", ("Action", "Batching")),
    ("`[actions.<name>.fields]`", ("Field",)),
    ("`[[actions.<name>.steps]]`", ("Step",)),
    ("`[limits]`", ("Limits",)),
    ("`[[responses]]`", ("Rule",)),
    ("`[conformance]`", ("Conformance", "Better")),
    ("`[[tests]]`", ("Test",)),
)


def reference() -> str:
    """The whole page, as Markdown."""
    pages = [f"\n## {title}\n{model_tables(spec, names)}" for title, names in _PAGES]
    return "".join([_HEAD, EXAMPLE, _AFTER, *pages])


if __name__ == "__main__":
    print(reference(), end="")
