"""Every command in docs/tracking-api.md does what the page says."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
from pathlib import Path

import pytest

from router._fast.envelope import CODES
from tests.edge.conftest import Harness

PAGE = (Path(__file__).parents[2] / "docs" / "tracking-api.md").read_text()
BLOCKS = re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not here")
async def test_the_commands_run(edge: Harness) -> None:
    answers = []
    # With AddressSanitizer's library preloaded curl waits for ever.
    environment = {name: value for name, value in os.environ.items() if name != "LD_PRELOAD"}
    for block in BLOCKS:
        script = block.replace("WRITE_KEY", "wk").replace(":8080", f":{edge.edge.port}")
        script = script.replace("curl ", "curl -sS ")
        process = await asyncio.create_subprocess_shell(
            script,
            env=environment,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, errors = await process.communicate()
        assert errors == b""
        answers.append(out)
    refusal = re.search(r'\{"success":false.*\}', PAGE)
    assert refusal is not None
    assert answers.pop() == refusal[0].encode()
    assert b"GIF89a" in answers[2]
    assert all(answer.startswith(b'{"success":true}') for answer in answers)
    kinds = [event["type"] for event in edge.stored()]
    assert kinds == ["track", "identify", "track", "page", "track", "screen"]
    contexts = [event.get("context") for event in edge.stored()]
    assert contexts[1:3] == [{"locale": "de-DE"}, {"app": {"name": "shop"}, "locale": "de-DE"}]
    assert [kept["reason"] for kept in edge.refused()] == ["invalid_json"]


def test_every_reason_is_on_the_page() -> None:
    assert [code for code in sorted(CODES) if f"`{code}`" not in PAGE] == []
