"""Runs that check code: refused blocks go back to the model with the compiler's words, and what compiles stays."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from workspaces import draft_of, expand, rows, small

from expand import Workspace
from expand.api import expand_chapter
from expand.code_check import sandbox
from expand.drafting.results import RunResult
from expand.testing import ScriptedAuthor, SentRequest
from expand.testing.scripted_author import Script

pytestmark = pytest.mark.skipif(not sandbox.kind_here(), reason="nothing here can contain a command")

needs_cargo = pytest.mark.skipif(not shutil.which("cargo"), reason="cargo is not on the PATH")

GOOD = "```python\nprint(1)\n```"
BAD = "```python\nvalue = 1\nprint(valeu)\n```"
WORSE = "```bash\nif true; then\n```"


@pytest.fixture
def place(tmp_path: Path) -> Path:
    small(tmp_path)
    with (tmp_path / "expand.toml").open("a") as file:
        file.write("\n[code]\ncheck = true\n")
    return tmp_path


def author(
    repairs: dict[int, list[str]] | Callable[[str], str], *blocks: str, second: Sequence[str] = ()
) -> ScriptedAuthor:
    """An author whose first section has these blocks, the ``second`` those, and who answers repairs of topics by their
    round, or by the blocks that a request shows."""
    script, drafted, rounds = Script(), set[int](), [0]
    of_section = {1: blocks, 2: second}

    def write(sent: SentRequest) -> str:
        if sent.purpose == "repair":
            rounds[0] += 1
            if not isinstance(repairs, dict):
                return repairs(sent.last_user_message.partition("<<<\n")[2].partition("\n>>>")[0])
            return repairs[rounds[0]].pop(0) if repairs.get(rounds[0]) else "I cannot."
        text, _ = script.written(sent)
        own = () if sent.section in drafted else of_section.get(sent.section, ())
        drafted.add(sent.section)
        if not own:
            return text
        kept = re.sub(r"(?ms)^```.*?^```\n*", "", text).splitlines()[: -sum(block.count("\n") + 2 for block in own)]
        return "\n".join([*kept, "", "\n\n".join(own), ""])

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


@needs_cargo
async def test_a_file_of_the_package_is_mended_with_the_files_at_hand_that_it_needs(place: Path) -> None:
    manifest = '```toml title="Cargo.toml"\n[package]\nname = "tool"\n```'
    library = '```rust title="src/lib.rs"\npub mod parse;\npub fn one() -> u8 { 1 }\n```'
    parse = '```rust title="src/parse.rs"\npub fn two() -> u8 { 2 }\n```'
    program = '```rust title="src/bin/tool.rs"\nfn main() { let n: u8 = tool::one(1); }\n```'
    by = author(
        {1: ["```rust\nfn main() { let n: u8 = tool::one(); }\n```"]}, manifest, library, second=[parse, program]
    )
    result = await drafted(place, by)
    (request,) = repairs_of(by)  # the library, which needs a file that is written later, was no mistake
    assert "this function takes 0 arguments" in request
    assert 'name = "tool"' in request
    assert "for your information, src/lib.rs in section 1" in request
    assert "pub fn two()" not in request
    assert '```rust title="src/bin/tool.rs"\nfn main() { let n: u8 = tool::one(); }\n```' in draft_of(place)
    section = result.chapter.sections[1]
    assert section.code == (section.code and section.code._replace(failed=0, unchecked=0))
    assert result.answers == len(by.requests)
    assert sum(one.answers for one in result.chapter.sections) == len(by.requests)
    again = await drafted(place, author({}))
    assert again.answers == 0


async def test_a_part_of_a_python_file_is_mended_with_the_files_at_hand_that_it_needs(place: Path) -> None:
    first = '```python title="app.py"\nLIMIT = 3\n```'
    store = '```python title="store.py"\nclass Job:\n    pass\n```'
    other = '```python title="log.py"\ndef note() -> None:\n    pass\n```'
    second = '```python title="app.py"\nprint(LIMIT, Job())\n```'
    mended = "```python\nfrom store import Job\n\nprint(LIMIT, Job())\n```"
    by = author({1: [mended]}, first, store, other, second=[second])
    result = await drafted(place, by)
    (request,) = repairs_of(by)  # LIMIT is known from the file's part in section 1
    assert "undefined name 'Job'" in request
    assert "LIMIT'" not in request
    assert "for your information, store.py in section 1" in request
    assert "log.py" not in request
    assert 'title="app.py"\nfrom store import Job\n' in draft_of(place)
    assert [section.code and section.code.failed for section in result.chapter.sections] == [0, 0, 0]


@needs_cargo
async def test_a_chapter_whose_code_is_broken_in_every_way_is_mended(place: Path) -> None:
    mended = {
        "fn main() {\n    let m: HashMap<u8, u8> = HashMap::new();\n}": "cannot find type `HashMap`",
        'fn main() {\n    let n: i32 = "1";\n    let m = n + 1;\n}': "mismatched types",
        "fn main() {\n    let n = vec![1].froblicate();\n    drop(n);\n}": "no method named `froblicate`",
        "fn main() {\n    let w = std::os::windows::io::null();\n    drop(w);\n}": "could not find `windows` in `os`",
    }
    manifest = '```toml title="Cargo.toml"\n[package]\nname = "tool"\n\n[dependencies]\nserde = "1"\n```'
    library = '```rust title="src/lib.rs"\npub fn one() -> u8 { 1 }\n```'
    rust = [f"```rust\n{code}\n```" for code in mended]
    python = "```python\ndef size(path):\n    return os.stat(path).st_size\n```"
    shell = "```bash\nif true; then\n  echo yes\n```"
    said = [
        *mended.values(),
        "unused crate: no code of the chapter uses serde",
        "undefined name 'os'",
        "unexpected end",
    ]

    def repaired(blocks: str) -> str:
        for code in mended:
            blocks = blocks.replace(code, f'fn main() {{\n    println!("{len(code)}");\n}}')
        blocks = blocks.replace('serde = "1"\n', "").replace("def size", "import os\n\n\ndef size")
        return blocks.replace("  echo yes\n", "  echo yes\nfi\n")

    blocks = {"second": [manifest, library, python, shell]}
    as_drafted = await drafted(place, author(lambda blocks: blocks, *rust, **blocks))
    found = [one.message for part in as_drafted.chapter.sections for one in part.findings if one.kind == "failed-code"]
    assert len(found) == len(said)
    for words in said:
        assert any(words in message for message in found), words
    by = author(repaired, *rust, **blocks)
    result = await expand_chapter(Workspace.open(place), "07", author=by, model="scripted", fresh=True)
    code = result.chapter.code
    assert code is not None
    assert (code.failed, code.unchecked) == (0, 0)
    assert len(repairs_of(by)) == 3  # of a topic those of the package apart, which wait for the other sections
    reviewed = expand(place, "review", "07", "--code")
    assert f"{code.blocks} of {code.blocks} code blocks compile" in reviewed.out
    assert "failed-code" not in reviewed.out


async def test_what_is_refused_is_no_example(place: Path) -> None:
    with (place / "outlines/07.yaml").open("a") as file:
        file.write("quality: {code_examples: 3, code_language: python}\n")
    by = author({}, "```python\na = 1\nb = 2\nprint(a + c)\n```", "```python\na = 1\nb = 2\nprint(a + b)\n```")
    result = await drafted(place, by)
    (short,) = [one for one in result.chapter.findings if one.kind == "few-examples"]
    blocks = draft_of(place).count("```python\n")
    assert blocks >= 2
    assert short.message == f"{blocks - 1} of 3 python code examples that the outline demands"
    unjudged = expand(place, "review", "07", "--json").json["chapters"][0]
    assert unjudged["findings"] == expand(place, "review", "07", "--code", "--json").json["chapters"][0]["findings"]


async def test_without_any_toolchain_a_run_says_so_once_and_ends_as_it_would(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocks = ['```rust\nlet n: u8 = "1";\n```', "```bash\ntrue\n```", "```lua\nprint(1)\n```"]
    monkeypatch.setenv("PATH", str(place))
    by = author({}, *blocks)
    without = await expand_chapter(Workspace.open(place), "07", author=by, model="scripted", fresh=True)
    code = without.chapter.code
    assert code is not None
    assert (code.checked, code.failed, code.unchecked) == (0, 0, code.blocks)
    (note,) = [one for one in without.chapter.every_finding if one.kind == "unchecked-code"]
    assert note.severity == "note"
    for words in ("rustc is not on the PATH", "bash is not on the PATH", "no checker for lua"):
        assert note.message.count(words) == 1
    assert repairs_of(by) == []
    assert without.exit_code == 0


async def test_without_the_setting_no_toolchain_is_asked(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (place / "expand.toml").write_text('[author]\nmodel = "scripted"\n')
    monkeypatch.setattr(sandbox, "run", None)
    result = await drafted(place, author({}, BAD))
    assert result.chapter.sections[0].code is None
    assert expand(place, "review", "07", "--json").json["chapters"][0]["sections"][0]["code"] is None
