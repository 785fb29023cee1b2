"""Actions of several requests, code, OAuth tokens, and signatures."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import stat
from pathlib import Path
from typing import Any

import pytest

from router.destinations.aws import Credentials, sign
from router.destinations.http import Answer, Http, Recorder
from router.destinations.oauth import TokenRefused, Tokens, TokenStore
from router.destinations.outcome import Outcome, Verdict
from router.destinations.spec import OAuth
from router.errors import ConfigErrors
from tests.destinations.engine import NOW_MS, answer, compiled, event, sent, verdicts

UPSERT = """
[actions.upsert]
when = 'type = "identify"'
fields = { "email!" = "traits.email", name = "traits.name" }

[[actions.upsert.steps]]
name = "found"
path = '"/search"'
body = { query = { email = "fields.email" } }
take = "data[0].id"
missing = [404]
cache = 60

[[actions.upsert.steps]]
name = "written"
method = 'if(exists(steps.found), "PUT", "POST")'
path = 'if(exists(steps.found), `/contacts/${steps.found}`, "/contacts")'
body = { email = "fields.email", name = "fields.name", ip = "context.ip" }

[[actions.upsert.steps]]
name = "tagged"
if = 'exists(traits.tag)'
path = '"/tags"'
body = "{tag: traits.tag, contact: steps.found}"
"""
ANN = event(type="identify", traits={"email": "a@b.c", "name": "Ann"}, context={"ip": "1.2.3.4"})
FOUND = answer(body={"data": [{"id": "7"}]})


def test_steps_see_what_was_taken() -> None:
    one = compiled(UPSERT)
    search, write = sent(one, ANN, answers=[FOUND])
    assert search["body"] == {"query": {"email": "a@b.c"}}
    assert (write["method"], write["url"]) == ("PUT", "https://acme.example/contacts/7")
    assert write["body"] == {"email": "a@b.c", "name": "Ann", "ip": "1.2.3.4"}
    tagged = event(type="identify", traits={"email": "x@b.c", "tag": "t"})
    assert sent(one, tagged, answers=[FOUND])[2]["body"] == {"tag": "t", "contact": "7"}


def test_what_is_not_found_is_null_and_no_failure() -> None:
    _, write = sent(compiled(UPSERT), ANN, answers=[answer(404)])
    assert (write["method"], write["url"]) == ("POST", "https://acme.example/contacts")


def test_an_answer_is_taken_from_memory_while_it_holds() -> None:
    one = compiled(UPSERT)
    assert len(sent(one, ANN, ANN, answers=[FOUND])) == 3
    one = compiled(UPSERT)
    assert len(sent(one, ANN, ANN, answers=[answer(404)])) == 4


@pytest.mark.parametrize(
    ("status", "says"), [(500, "retry: 500"), (422, "dropped: 422"), (429, "throttled: 429")]
)
def test_a_step_that_fails_ends_the_row(status: int, says: str) -> None:
    one = compiled(UPSERT)
    assert verdicts(one, ANN, answers=[answer(status, b"")]) == [says]
    assert verdicts(one, ANN, answers=[FOUND, answer(status, b"")]) == [says]
    assert verdicts(one, ANN, answers=[FOUND]) == ["delivered"]


def test_a_step_that_is_not_done_before_cannot_be_read() -> None:
    with pytest.raises(ConfigErrors, match="a step that is not done before it"):
        compiled(UPSERT.replace('"{tag: traits.tag, contact: steps.found}"', '"steps.later"'))


async def double(rows: list[dict[str, Any]], settings: dict[str, Any], http: Http) -> list[Verdict]:
    """A `code` function: what it sends has the destination's proof."""
    found = []
    for row in rows:
        status, _, _ = await http.request("PUT", f"https://acme.example/{row['u']}", {}, b"x")
        found.append(Verdict(Outcome.delivered if status == 200 else Outcome.dropped, str(status)))
    return found


def test_code_sends_rows_with_the_files_proof() -> None:
    text = """
auth = { bearer = "settings.token" }
code = "tests.destinations.test_sending:double"
settings = { token = { type = "secret" } }

[actions.a]
when = "true"
row = { u = "userId" }
batch = { events = 5 }
"""
    one = compiled(text, {"token": "t"})
    requests = sent(one, event(), event(userId="v"))
    assert [each["url"] for each in requests] == [
        "https://acme.example/u",
        "https://acme.example/v",
    ]
    assert requests[0]["headers"]["Authorization"] == "Bearer t"
    given = verdicts(one, event(), event(userId="v"), answers=[answer(404)])
    assert given == ["dropped: 404", "delivered"]


OAUTH = """
[settings.id]
default = "client"

[auth.oauth]
token_url = "'https://login.example/token'"
client_id = "settings.id"
client_secret = "'s&cret'"
scope = "'write'"

[actions.a]
when = "true"
row = { u = "userId" }
"""


def token(name: str, **more: Any) -> Answer:
    return answer(body={"access_token": name, "expires_in": 3600, **more})


def test_a_token_is_fetched_once_and_sent() -> None:
    one = compiled(OAUTH)
    fetch, first = sent(one, event(), answers=[token("t1")])
    assert fetch["body"] == {
        "grant_type": "client_credentials", "scope": "write", "client_id": "client",
        "client_secret": "s&cret",
    }  # fmt: skip
    assert first["headers"]["Authorization"] == "Bearer t1"
    assert len(sent(one, event())) == 1


def test_a_refused_token_is_renewed_once() -> None:
    one = compiled(OAUTH)
    requests = sent(one, event(), answers=[token("t1"), answer(401), token("t2")])
    assert [each["headers"].get("Authorization") for each in requests] == [
        None, "Bearer t1", None, "Bearer t2"
    ]  # fmt: skip
    one = compiled(OAUTH)
    answers = [token("t1"), answer(401), token("t2"), answer(401, b"no")]
    assert verdicts(one, event(), answers=answers) == ["pause: 401: no"]


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (answer(400, {"error": "invalid_client"}), "reauth: no access token: 400 invalid_client"),
        (answer(400, {"error_description": "token request is already being processed"}),
         "retry: no access token: 400 token request is already being processed"),
        (answer(503, b"<html>"), "retry: no access token: 503"),
        (answer(200, {"token": 1}), "retry: no access token: 200"),
    ],
)  # fmt: skip
def test_a_token_that_is_not_given(given: Answer, says: str) -> None:
    assert verdicts(compiled(OAUTH), event(), answers=[given]) == [says]


REFRESH = OAuth(
    token_url="'https://l.example/t'", grant="refresh_token", refresh_token="settings.refresh",
    client_id="'c'", client_secret="'s'", client_auth="basic",
)  # fmt: skip


async def test_a_new_refresh_token_is_kept_for_the_next_time(tmp_path: Path) -> None:
    store = TokenStore(tmp_path / "tokens")
    http = Recorder([token("t1", refresh_token="r2", expires_in=0), token("t2")])
    tokens = Tokens(REFRESH, "acme", {"refresh": "r1"}, store)
    assert await tokens.get(http) == "t1"
    again = Tokens(REFRESH, "acme", {"refresh": "r1"}, TokenStore(tmp_path / "tokens"))
    assert await again.get(http) == "t2"
    assert [
        b"refresh_token=r1" in http.requests[0].body,
        b"refresh_token=r2" in http.requests[1].body,
    ]
    assert http.requests[0].headers["Authorization"] == "Basic " + base64.b64encode(b"c:s").decode()
    assert stat.S_IMODE((tmp_path / "tokens" / "acme.json").stat().st_mode) == 0o600
    other = Tokens(REFRESH, "acme", {"refresh": "other"}, TokenStore(tmp_path / "tokens"))
    assert await other.get(Recorder([token("t3")])) == "t3"


async def test_many_ask_and_one_fetches() -> None:
    class Slow(Recorder):
        async def request(self, *given: Any) -> Any:
            await asyncio.sleep(0.01)
            return await super().request(*given)

    http = Slow([token("t1")])
    tokens = Tokens(REFRESH, "acme", {"refresh": "r"}, TokenStore())
    assert set(await asyncio.gather(*(tokens.get(http) for _ in range(20)))) == {"t1"}
    assert len(http.requests) == 1


async def test_a_token_file_that_is_damaged_is_fetched_anew(tmp_path: Path) -> None:
    (tmp_path / "acme.json").write_text('{"access": 5')
    tokens = Tokens(REFRESH, "acme", {"refresh": "r"}, TokenStore(tmp_path))
    assert await tokens.get(Recorder([token("t1")])) == "t1"
    with pytest.raises(TokenRefused):
        await tokens.renew(Recorder([answer(401)]), "t1")


def test_aws_signature_of_the_published_example() -> None:
    """The example of "Signature Version 4 signing process", AWS General Reference."""
    credentials = Credentials("iam", "us-east-1", "AKIDEXAMPLE",
                              "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")  # fmt: skip
    headers = {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}
    url = "https://iam.amazonaws.com/?Action=ListUsers&Version=2010-05-08"
    added = sign(credentials, "GET", url, headers, b"", 1440938160000)
    assert added["X-Amz-Date"] == "20150830T123600Z"
    assert added["Authorization"] == (
        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/iam/aws4_request, "
        "SignedHeaders=content-type;host;x-amz-date, "
        "Signature=5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7"
    )


def test_a_signature_may_be_of_more_than_the_body() -> None:
    text = """
settings = { key = { type = "secret" } }
auth = { headers = { X-Time = "epoch_s(now())" } }

[[sign]]
header = "X-Sign"
key = "settings.key"
encoding = "base64"
signs = "`${time}.${method}.${path}.${body}`"

[actions.a]
when = "true"
path = "'/hook'"
row = { u = "userId" }
"""
    [request] = sent(compiled(text, {"key": "k"}), event())
    seconds = NOW_MS // 1000
    assert request["headers"]["X-Time"] == str(seconds)
    signed = f'{seconds}.POST./hook.{{"u":"u"}}'.encode()
    wanted = base64.b64encode(hmac.new(b"k", signed, hashlib.sha256).digest()).decode()
    assert request["headers"]["X-Sign"] == wanted
