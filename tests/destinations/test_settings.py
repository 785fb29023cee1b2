"""An instance's settings: defaults, types, conditions, other names, and what is kept secret."""

from __future__ import annotations

from typing import Any

import pytest

from router.destinations.settings import check_settings, secrets_of
from router.destinations.spec import Choice, Setting, Spec
from router.errors import ConfigErrors

SPEC = Spec(
    name="Acme",
    settings={
        "key": Setting(type="secret", required=True, help="Acme: Settings."),
        "region": Setting(
            type="choice", choices=["us", Choice(value="eu", label="Europe")], default="us"
        ),
        "login": Setting(type="choice", choices=["key", "oauth"], default="key"),
        "client": Setting(required=True, when='settings.login = "oauth"', label="Client id"),
        "host": Setting(type="url", pattern=r"https://[a-z]+\.acme\.example/?"),
        "count": Setting(type="number", aliases=["howMany"]),
        "tags": Setting(type="list"),
        "headers": Setting(type="map", default={}),
    },
)


def test_defaults_and_other_names() -> None:
    found = check_settings(SPEC, {"key": "k", "howMany": 3})
    assert found == {
        "key": "k", "region": "us", "login": "key", "client": None, "host": None, "count": 3,
        "tags": None, "headers": {},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({}, "`settings.key` is required (Acme: Settings.)"),
        ({"key": ""}, "must not be empty"),
        ({"key": "k", "region": "mars"}, "has to be one of us, eu"),
        ({"key": "k", "count": True}, "has to be a number"),
        ({"key": "k", "regon": "us"}, "unknown setting `regon` (did you mean `region`?)"),
        ({"key": "k", "login": "oauth"}, "`settings.client` is required (Client id)"),
        ({"key": "k", "host": "ftp://a"}, "`settings.host`"),
        (
            {"key": "k", "host": "https://evil.example/acme.example"},
            "is not written as it has to be",
        ),
        ({"key": "k", "tags": "a"}, "has to be a list"),
    ],
)
def test_wrong_settings_are_refused_with_their_help(given: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigErrors) as caught:
        check_settings(SPEC, given)
    assert says in str(caught.value)


def test_what_its_condition_rules_out_is_not_required() -> None:
    assert check_settings(SPEC, {"key": "k", "host": "https://a.acme.example"})["client"] is None


def test_secrets_are_those_long_enough_to_be_told_from_words() -> None:
    values = {"key": "sesame", "headers": {"X": "long-value", "Y": "short"}}
    assert secrets_of(SPEC, values) == ["long-value", "sesame"]
    assert secrets_of(SPEC, {"key": "t"}) == []
