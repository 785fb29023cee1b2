"""The workspace loader: what is valid, and what each mistake is answered with."""

from pathlib import Path

import pytest

from router.errors import ConfigError
from router.workspace.create import create_workspace, is_empty
from router.workspace.load import load_workspace


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write(tmp_path, "sources/web.toml", 'name = "Web"\nwrite_key = "k1"\n')
    write(
        tmp_path,
        "destinations/sink.toml",
        'destination = "webhook"\nsources = ["web"]\nenabled = true\n'
        '[settings]\nurl = "http://127.0.0.1:9/"\n',
    )
    return tmp_path


def write(folder: Path, name: str, text: str) -> None:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text)


def errors_of(folder: Path) -> str:
    with pytest.raises(ConfigError) as caught:
        load_workspace(folder)
    return str(caught.value)


def test_the_smallest_files_are_enough(folder: Path) -> None:
    workspace = load_workspace(folder)
    assert workspace.sources["web"].write_key == "k1"
    assert workspace.destinations["sink"].settings == {"url": "http://127.0.0.1:9/"}
    assert workspace.settings.server.port == 8080


def test_a_first_workspace_is_valid_and_its_key_is_its_own(tmp_path: Path) -> None:
    assert is_empty(tmp_path)
    for name in ("one", "two"):
        create_workspace(tmp_path / name)
    one, two = (load_workspace(tmp_path / name) for name in ("one", "two"))
    assert not is_empty(tmp_path / "one")
    assert len(one.sources["web"].write_key) == 32
    assert one.sources["web"].write_key != two.sources["web"].write_key
    assert one.destinations["archive"].destination == "file-archive"


@pytest.mark.parametrize(
    ("file", "text", "expected"),
    [
        ("router.toml", "[limits]\n\nevent_byte = 3\n",
         "router.toml:3: unknown key `event_byte` in [limits] (did you mean `event_bytes`?)"),
        ("router.toml", "[limit]\nx = 3\n",
         "router.toml:1: unknown key `limit` (did you mean `limits`?)"),
        ("router.toml", '[limits]\nevent_bytes = "big"\n',
         "router.toml:2: `limits.event_bytes`: expected `int`, got `str`"),
        ("router.toml", "[limits]\nevent_bytes = 0\n",
         "router.toml:2: `limits.event_bytes`: expected `int` >= 1"),
        ("router.toml", "[server\n", "router.toml:1:8: not valid TOML"),
        ("router.toml", '[control]\nhost = "0.0.0.0"\n', "`control.token` is empty"),
        ("router.toml", '[server]\ntrusted_proxies = ["10.0.0.0/99"]\n', "router.toml:2:"),
        ("router.toml", '[log]\nsacrifice = ["snk"]\n', "did you mean `sink`?"),
        ("sources/app.toml", 'name = "App"\n',
         "sources/app.toml:1: `write_key` is required (add it)"),
        ("sources/app.toml", 'name = "App"\nwrite_key = "k1"\n',
         "sources/web.toml:2: `write_key` is the one of source `app` too"),
        ("sources/My App.toml", 'name = "App"\nwrite_key = "k"\n', "`My App` cannot be an id"),
        ("destinations/x.toml", 'destination = "webhook"\nsources = ["wep"]\n',
         "destinations/x.toml:2: `sources`: there is no source `wep` (did you mean `web`?)"),
        ("destinations/x.toml", 'destination = "webhook"\nstart = "yesterday"\n',
         "destinations/x.toml:2: `start`: 'yesterday' is no time"),
        ("destinations/x.toml", 'destination = "webhook"\nstart = "2026-01-31T12:00:00"\n',
         'write "now", "earliest" or e.g.'),
        ("sources/app.toml", 'name = "App"\n\nwrite_key = "${ROUTER_NO_SUCH}"\n',
         "sources/app.toml:3: environment variable ROUTER_NO_SUCH is not set"),
        ("sources/app.toml", 'name = "App"\nwrite_key = "${file:/no/such}"\n',
         "sources/app.toml:2: cannot read /no/such: No such file"),
    ],
)  # fmt: skip
def test_a_mistake_is_named_with_its_line(
    folder: Path, file: str, text: str, expected: str
) -> None:
    write(folder, file, text)
    assert expected in errors_of(folder)


def test_every_mistake_is_told_at_once(folder: Path) -> None:
    write(folder, "router.toml", "[limit]\n")
    write(folder, "sources/app.toml", 'nme = "App"\n')
    message = errors_of(folder)
    assert "router.toml:1" in message
    assert "sources/app.toml:1" in message


def test_secrets_come_from_the_environment_and_from_files(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROUTER_TEST_KEY", "from-env")
    (tmp_path / "secret").write_text("from-file\n")
    write(folder, "sources/app.toml", 'name = "$${x}"\nwrite_key = "${ROUTER_TEST_KEY}"\n')
    write(
        folder,
        "destinations/sink.toml",
        f'destination = "webhook"\n[settings]\nurl = "http://x/${{file:{tmp_path}/secret}}"\n',
    )
    workspace = load_workspace(folder)
    assert workspace.sources["app"].write_key == "from-env"
    assert workspace.sources["app"].name == "${x}"
    assert workspace.destinations["sink"].settings["url"] == "http://x/from-file"


def test_a_missing_folder_says_what_to_do(tmp_path: Path) -> None:
    assert "`router serve` makes one" in errors_of(tmp_path / "none")


def test_the_digest_follows_the_content(folder: Path) -> None:
    first = load_workspace(folder).digest
    assert load_workspace(folder).digest == first
    write(folder, "router.toml", "[log]\nhours = 1\n")
    assert load_workspace(folder).digest != first
