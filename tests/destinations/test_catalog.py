"""Every catalogue file: it loads, its examples hold, and each of its actions has one. And the catalogue
itself: its list, a workspace's own files, and errors that say where."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from router.destinations import catalog, compile_destination
from router.destinations.catalog import read_entry, read_spec
from router.destinations.examples import run_examples
from router.errors import ConfigError
from router.workspace.models import Destination
from tests.destinations.engine import event, sent

SLUGS = catalog().slugs()


@pytest.mark.parametrize("slug", SLUGS)
def test_examples_hold(slug: str) -> None:
    failures = run_examples(slug, catalog().spec(slug))
    assert not failures, "\n".join(f"{f.does}: {f.problem}" for f in failures)


@pytest.mark.parametrize("slug", SLUGS)
def test_a_file_says_what_the_list_needs(slug: str) -> None:
    spec = catalog().spec(slug)
    assert spec.name
    assert spec.category
    assert spec.description
    assert spec.docs or spec.verified == "own"
    for name, setting in spec.settings.items():
        assert setting.help or setting.label, f"settings.{name} has neither label nor help"


def test_less_than_a_fifth_of_the_catalogue_is_python() -> None:
    entries = catalog().entries()
    vendors = [entry for entry in entries if entry.verified != "own"]
    if len(vendors) > 20:
        assert sum(entry.code for entry in vendors) * 5 < len(vendors)


def test_the_list_reads_only_heads(tmp_path: Path) -> None:
    for number in range(500):
        (tmp_path / f"tool-{number}.toml").write_text(
            f'name = "Tool {number}"\ncategory = "crm"\n\n[actions.a]\nwhen = "true"\nnot toml'
        )
    known = catalog(tmp_path)
    started = time.perf_counter()
    entries = known.entries()
    assert time.perf_counter() - started < 2
    assert len(entries) == 500 + len(SLUGS)
    assert {entry.actions for entry in entries if entry.slug.startswith("tool-")} == {1}


def test_an_entry_knows_python(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text('name = "A"\n[actions.x]\ncode = "m:f"\n')
    assert read_entry(tmp_path / "a.toml").code


OWN = """
name = "Mixpanel, ours"
extends = "mixpanel"
category = "analytics"

[settings.plan]
help = "Sent with each event."

[[responses]]
status = [418]
then = "retry"

[actions.trackEvent]
query = { strict = '"0"' }

[actions.extra]
when = 'type = "track"'
path = '"/extra"'
row = { plan = "settings.plan" }
"""


def test_a_workspace_extends_a_built_in_destination(tmp_path: Path) -> None:
    (tmp_path / "mixpanel.toml").write_text(OWN)
    spec = catalog(tmp_path).spec("mixpanel")
    assert spec.name == "Mixpanel, ours"
    assert {"projectToken", "plan"} <= set(spec.settings)
    assert spec.actions["trackEvent"].path == '"/import"'
    assert spec.responses[0].status == [418]
    settings = {"projectToken": "tk", "plan": "pro"}
    instance = Destination(destination="mixpanel", settings=settings)
    track, extra = sent(compile_destination(spec, "mp", instance), event())
    assert track["url"] == "https://api.mixpanel.com/import?strict=0"
    assert (extra["url"], extra["body"]) == ("https://api.mixpanel.com/extra", {"plan": "pro"})


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ('name = "A"\n[actions.a]\nwen = "true"\n', 3, "did you mean `when`?"),
        ('name = "A"\n', 0, "at least one action"),
        ('name = "A"\n[actions.a]\nlike = "b"\n', 3, "there is no action `b`"),
        ('name = "A"\nextends = "nothing"\n', 0, "cannot be read"),
        ('name = "A"\n[actions.a\n', 0, "cannot be read"),
        ('[actions.a]\nwhen = "true"\n', 0, "`name` is required"),
        (
            'name = "A"\n[settings.a]\ntype = "txt"\n[actions.a]\nwhen = "true"\n',
            3,
            "settings.a.type",
        ),
    ],
)
def test_a_wrong_file_is_refused_with_its_line(
    tmp_path: Path, text: str, line: int, says: str
) -> None:
    path = tmp_path / "acme.toml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        read_spec(path)
    assert says in str(caught.value)
    assert "catalog/acme.toml" in str(caught.value) or "catalog/nothing.toml" in str(caught.value)
    if line:
        assert caught.value.line == line


def test_a_destination_that_is_not_there_has_a_neighbour() -> None:
    with pytest.raises(ConfigError, match="did you mean `mixpanel`"):
        catalog().spec("mixpannel")
    with pytest.raises(ConfigError):
        catalog().spec("../../etc/passwd")


def test_an_action_without_an_example_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    path.write_text('name = "A"\nurl = "\'https://a.b\'"\n[actions.x]\nwhen = "true"\n')
    [failure] = run_examples("a", read_spec(path))
    assert failure.problem == "no example reaches this action"
