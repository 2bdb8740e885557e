"""Runs that check code: refused blocks go back to the model with the compiler's words, and what compiles stays."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from workspaces import draft_of, expand, rows, small

from expand import Workspace
from expand.api import expand_chapter
from expand.code_check import sandbox
from expand.drafting.results import RunResult
from expand.testing import ScriptedAuthor, SentRequest
from expand.testing.behaviours import TextGenerator, written

pytestmark = pytest.mark.skipif(not sandbox.kind_here(), reason="nothing here can contain a command")

GOOD = "```python\nprint(1)\n```"
BAD = "```python\nvalue = 1\nprint(valeu)\n```"
WORSE = "```bash\nif true; then\n```"


@pytest.fixture
def place(tmp_path: Path) -> Path:
    small(tmp_path)
    with (tmp_path / "expand.toml").open("a") as file:
        file.write("\n[code]\ncheck = true\n")
    return tmp_path


def author(repairs: dict[int, list[str]], *blocks: str) -> ScriptedAuthor:
    """An author whose first section has these blocks, and who answers repairs of topics by their round."""
    generator, drafted, rounds = TextGenerator(), set[int](), [0]

    def write(sent: SentRequest) -> str:
        if sent.purpose == "repair":
            rounds[0] += 1
            return repairs[rounds[0]].pop(0) if repairs.get(rounds[0]) else "I cannot."
        text, _ = written(sent.question, "normal", generator=generator)
        if sent.section in drafted or sent.section != 1:
            return text
        drafted.add(sent.section)
        kept = re.sub(r"(?ms)^```.*?^```\n*", "", text).splitlines()[: -sum(block.count("\n") + 2 for block in blocks)]
        return "\n".join([*kept, "", "\n\n".join(blocks), ""])

    return ScriptedAuthor(write=write)


async def drafted(place: Path, by: ScriptedAuthor) -> RunResult:
    return await expand_chapter(Workspace.open(place), "07", author=by, model="scripted")


def repairs_of(by: ScriptedAuthor) -> list[str]:
    return [sent.last_user_message for sent in by.requests if sent.purpose == "repair"]


async def test_refused_blocks_are_sent_alone_and_replaced_alone(place: Path) -> None:
    by = author(
        {1: ["```python\nvalue = 1\nprint(value)\n```\n\n```bash\nif true; then echo; fi\n```"]}, GOOD, BAD, WORSE
    )
    result = await drafted(place, by)
    (request,) = repairs_of(by)
    assert "line 2: undefined name 'valeu'" in request
    assert "unexpected end of file" in request
    assert BAD in request
    assert WORSE in request
    assert GOOD not in request
    draft = draft_of(place)
    assert "print(value)" in draft
    assert "valeu" not in draft
    assert GOOD in draft
    section = result.chapter.sections[0]
    assert section.code is not None
    assert section.code == (section.code.blocks, section.code.blocks, 0, 0)
    assert section.code.blocks >= 3
    assert [row[0] for row in rows(place, "SELECT count(*) FROM answer")] == [len(by.requests)]
    again = await drafted(place, author({}))
    assert again.answers == 0
    assert again.chapter.sections[0].code == section.code


@pytest.mark.parametrize(
    ("answer", "kept"),
    [
        ("```python\nprint(valeu)\n```", "valeu"),  # refused again
        ("```python,ignore\nvalue = \n```", "print(valeu)"),  # marked, so that nobody looks: the marks are the draft's
        ("print(1)", "print(valeu)"),  # no block
        (f"{GOOD}\n\n{GOOD}\n\n{GOOD}", "print(valeu)"),  # which of them?
    ],
)
async def test_what_does_not_compile_takes_no_place_and_repairs_end(place: Path, answer: str, kept: str) -> None:
    by = author({number: [answer] for number in range(1, 9)}, BAD)
    result = await drafted(place, by)
    assert len(repairs_of(by)) == 1  # the same request once more is not bought
    assert kept in draft_of(place)
    section = result.chapter.sections[0]
    assert section.code is not None
    assert section.code.failed == 1
    assert [finding.kind for finding in section.findings].count("failed-code") == 1
    assert result.exit_code == 5


async def test_a_second_round_sees_what_the_first_has_mended(place: Path) -> None:
    worse = "```python\nprint(a)\nprint(b)\n```"
    by = author({1: ["```python\nprint(a)\n```"], 2: ["```python\nprint(2)\n```"]}, worse)
    result = await drafted(place, by)
    first, second = repairs_of(by)
    assert "undefined name 'b'" in first
    assert "undefined name 'b'" not in second
    assert "print(2)" in draft_of(place)
    assert result.chapter.sections[0].code == (result.chapter.code and result.chapter.sections[0].code)


@pytest.mark.skipif(not shutil.which("cargo"), reason="cargo is not on the PATH")
async def test_a_file_of_the_package_is_mended_with_the_manifest_at_hand(place: Path) -> None:
    manifest = '```toml title="Cargo.toml"\n[package]\nname = "tool"\n```'
    by = author(
        {1: ["```rust\npub fn one() -> u8 { 1 }\n```"]},
        manifest,
        '```rust title="src/lib.rs"\npub fn one() -> u8 { two() }\n```',
    )
    result = await drafted(place, by)
    (request,) = repairs_of(by)
    assert "cannot find function `two`" in request
    assert 'name = "tool"' in request
    assert '```rust title="src/lib.rs"\npub fn one() -> u8 { 1 }\n```' in draft_of(place)
    assert result.chapter.sections[0].code is not None
    assert result.chapter.sections[0].code.failed == 0


async def test_without_the_setting_no_toolchain_is_asked(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (place / "expand.toml").write_text('[author]\nmodel = "scripted"\n')
    monkeypatch.setattr(sandbox, "run", None)
    result = await drafted(place, author({}, BAD))
    assert result.chapter.sections[0].code is None
    assert expand(place, "review", "07", "--json").json["chapters"][0]["sections"][0]["code"] is None
