"""Every block of code in the documentation is run, or says why it is not.

console blocks are typed (each page is one session), Python blocks run, settings, outlines and
templates are read by the tool's own readers, and commands in running text exist.
"""

from __future__ import annotations

import ast
import asyncio
import inspect
import json
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import yaml
from documented_code import CodeBlock, code_blocks, inline_code
from documented_session import Session, tool_words, understood
from scripted_server import ScriptedServer
from test_testing import pytest_in
from workspaces import ROOT, expand, shipped

from expand.drafting.brief import read_brief
from expand.drafting.memory import read_memory
from expand.errors import EXIT_CODES
from expand.ledger.database import MIGRATIONS
from expand.markdown import blocks as markdown
from expand.outline.reading import BOOK, BRIEF, MEMORY, OUTLINE, read_book, read_outline
from expand.prompts.rendering import Prompts, known_styles
from expand.settings import Overrides, read_settings
from expand.workspace import Workspace

PAGES = [ROOT / "README.md", ROOT / "README.zh.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCKS = {page: code_blocks(page) for page in PAGES}
EVERY = [block for blocks in BLOCKS.values() for block in blocks]


def pages_with(*languages: str) -> list[Path]:
    return [
        page
        for page, blocks in BLOCKS.items()
        if any(block.language in languages and not block.not_run for block in blocks)
    ]


def name_of(value: Path | CodeBlock) -> str:
    return value.name if isinstance(value, CodeBlock) else str(value.relative_to(ROOT))


@pytest.fixture(scope="module")
def provider() -> Iterator[ScriptedServer]:
    with ScriptedServer() as server:
        yield server


# --- console ----------------------------------------------------------------------------------


TRANSLATED = {ROOT / "README.zh.md"}
"""Pages that say the commands of another one, which is what is proved of them."""


@pytest.mark.parametrize("page", sorted({*pages_with("console")} - TRANSLATED), ids=name_of)
def test_what_a_page_says_to_type(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Session(tmp_path, monkeypatch) as session:
        for block in BLOCKS[page]:
            if block.language == "console" and not block.not_run:
                session.run(block)


def refused(block: CodeBlock) -> list[str]:
    """What the tool would not take of a block that is not run."""
    found = []
    for command in block.commands:
        for words in command.parts():
            said = tool_words(words)
            why = understood(list(said), exactly=True) if said is not None else ""
            found += [f"{block.name}: {command.typed}: {why}"] if why else []
    return found


def test_what_is_not_run_could_be_typed() -> None:
    assert [why for block in EVERY if block.language == "console" and block.not_run for why in refused(block)] == []


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_commands_in_running_text_exist(page: Path) -> None:
    for code in inline_code(page):
        words = code.split()
        said = tool_words(words)
        if said:
            assert not understood(list(said), exactly=False), (code, said)


# --- Python -----------------------------------------------------------------------------------

PYTHON = [block for block in EVERY if block.language == "python" and not block.not_run]
IN_PYTEST = [*{block.code: block for block in PYTHON if "def test_" in block.code}.values()]


@pytest.mark.parametrize("block", [one for one in PYTHON if "def test_" not in one.code], ids=name_of)
def test_python_as_documented(
    block: CodeBlock,
    provider: ScriptedServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shipped(tmp_path / "my-book")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OPENAI_BASE_URL", provider.base_url)
    monkeypatch.setenv("EXPAND_MODEL", "scripted")
    flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    code = compile(block.padded(), str(block.path), "exec", flags=flags, dont_inherit=True)
    pending = eval(code, {"__name__": "documented"})
    if inspect.iscoroutine(pending):
        asyncio.run(pending)


def test_the_plugin_as_documented(tmp_path: Path) -> None:
    shipped(tmp_path)
    for block in IN_PYTEST:
        name = f"test_{re.sub('[^a-zA-Z0-9]', '_', block.name)}.py"
        (tmp_path / name).write_text(block.code, encoding="utf-8")
    ran = pytest_in(tmp_path, "--tb=short", plugins=("expand.pytest_plugin", "pytest_httpx2"))
    assert ran.returncode == 0, ran.stdout
    assert f"{sum(block.code.count('def test_') for block in IN_PYTEST)} passed" in ran.stdout


# --- files ------------------------------------------------------------------------------------


def read_toml(block: CodeBlock, folder: Path) -> None:
    """As ``expand.toml``."""
    path = folder / "expand.toml"
    path.write_text(block.code, encoding="utf-8")
    read_settings(path, environment={}, overrides=Overrides())


def _merged(block: CodeBlock, keys: set[str], path: Path) -> None:
    """The file with the block in the place of what it says under the same keys."""
    text = path.read_text(encoding="utf-8")
    rows = text.splitlines(keepends=True)
    mapping = yaml.compose(text)
    assert isinstance(mapping, yaml.MappingNode)
    starts = [(key.value, key.start_mark.line) for key, _ in mapping.value]
    ends = [line for _, line in starts[1:]] + [len(rows)]
    kept = ["".join(rows[start:end]) for (key, start), end in zip(starts, ends, strict=True) if key not in keys]
    path.write_text("".join(kept) + block.code, encoding="utf-8")


def read_yaml(block: CodeBlock, folder: Path) -> None:
    """As a part of an outline or of the book, in the place of what the shipped ones say."""
    table = yaml.load(block.code, Loader=yaml.BaseLoader)
    if block.owner or table is None:
        return
    place, keys = shipped(folder / "workspace"), set(table)
    outline, book, brief, memory = (set(one.schema["properties"]) for one in (OUTLINE, BOOK, BRIEF, MEMORY))
    if keys <= memory:
        (place / "memory").mkdir()
        (place / "memory/01.yaml").write_text(block.code, encoding="utf-8")
        assert [one.chapter for one in read_memory(Workspace.open(place))] == ["01"]
        return
    assert keys <= outline or keys <= book or keys <= brief, f"neither outline, book nor brief has all of {keys}"
    if keys <= brief and not keys <= outline:
        path = place / "03.yaml"
        path.write_text(block.code, encoding="utf-8")
        read_brief(path, root=place)
    if keys <= outline:
        path = place / "outlines" / "03.yaml"
        _merged(block, keys, path)
        read_outline(path, root=place, chapter_id="03")
    if keys <= book:
        path = place / "outlines" / "book.yaml"
        _merged(block, keys, path)
        read_book(path, root=place)


def read_json(block: CodeBlock, folder: Path) -> None:
    json.loads(block.code)


def read_jinja(block: CodeBlock, folder: Path) -> None:
    """As a template of the workspace, under the name of the one that it extends."""
    extended = re.search(r'extends "([^"]+)"', block.code)
    path = folder / "prompts" / (extended[1] if extended else "section.j2")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(block.code, encoding="utf-8")
    for language in ("en", "zh"):
        Prompts(folder / "prompts").of("03", None).check(language)


def read_sql(block: CodeBlock, folder: Path) -> None:
    """Against an empty ledger; the page with the tables themselves against an empty database."""
    with closing(sqlite3.connect(":memory:")) as connection:
        if "CREATE TABLE" not in block.code:
            for migration in MIGRATIONS:
                for statement in migration:
                    connection.execute(statement)
        connection.executescript(block.code)


READERS = {
    "toml": read_toml,
    "yaml": read_yaml,
    "json": read_json,
    "jinja": read_jinja,
    "sql": read_sql,
}
RUN = {"console", "python", *READERS}
GENERATED = "<!-- Generated by docs/generate.py"


@pytest.mark.parametrize("language", READERS)
def test_files_as_documented(language: str, tmp_path: Path) -> None:
    for index, block in enumerate(EVERY):
        if block.language == language and not block.not_run:
            folder = tmp_path / str(index)
            folder.mkdir()
            try:
                READERS[language](block, folder)
            except Exception as error:
                raise AssertionError(f"{block.name}: {error}") from error


def unmarked(block: CodeBlock) -> str:
    """Why nobody knows what to do with a block, "" where it is known."""
    if block.language in RUN or block.not_run:
        return ""
    if block.path.is_file() and block.path.read_text(encoding="utf-8").startswith(GENERATED):
        return ""  # compared with the code by docs/generate.py --check
    return f"{block.name}: nothing runs {block.language!r}; say why with <!-- not run: … -->"


def test_every_block_is_run_or_says_why_not() -> None:
    assert [why for block in EVERY if (why := unmarked(block))] == []
    assert len([block for block in EVERY if not block.not_run]) > 80


# --- pages by themselves ----------------------------------------------------------------------


@pytest.mark.parametrize("page", [ROOT / "README.md", ROOT / "README.zh.md"], ids=name_of)
def test_links_of_a_readme_lead_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for link in markdown.links(text):
        if "://" not in link.target:
            assert (page.parent / link.target.partition("#")[0]).exists(), link.target


def test_both_readmes_say_the_same_commands() -> None:
    here, there = (code_blocks(ROOT / name, "console") for name in ("README.md", "README.zh.md"))

    def plain(blocks: list[CodeBlock]) -> list[str]:
        typed = [re.sub(r"\s+#.*", "", one.typed) for block in blocks for one in block.commands]
        return [re.sub(r'"[^"]*"', '"…"', words) for words in typed]

    assert plain(here) == plain(there)


def test_the_styles_are_those_of_the_page() -> None:
    text = (ROOT / "docs" / "prompts.md").read_text(encoding="utf-8")
    assert all(f"| `{style}` |" in text for style in known_styles(None))


def test_the_messages_are_those_of_the_tool(tmp_path: Path) -> None:
    place = shipped(tmp_path / "workspace")
    (said,) = code_blocks(ROOT / "docs" / "prompts.md", "text")
    told = " ".join(said.code.replace("…", "").split())
    folder = place / "prompts"
    folder.mkdir()
    mistakes = {
        "section.j2": "\n{{ sectoin_title }} {{ lines }} lines",
        "repair.j2": "Mend it.",
    }
    for name, text in mistakes.items():
        (folder / name).write_text(text, encoding="utf-8")
        message = expand(place, "prompt", "show", "03", "--model", "gpt-5-mini").err
        (folder / name).unlink()
        found = message[message.index(f"prompts/{name}:") :]
        assert " ".join(found.split()) in told, found


@pytest.mark.parametrize("page", [ROOT / "README.md", ROOT / "README.zh.md"], ids=name_of)
def test_a_readme_lists_every_exit_code(page: Path) -> None:
    listed = re.findall(r"^\| (\d+) \|", page.read_text(encoding="utf-8"), re.MULTILINE)
    assert [int(code) for code in listed] == list(EXIT_CODES)


# --- these tests can fail ---------------------------------------------------------------------


def page_of(folder: Path, text: str) -> CodeBlock:
    path = folder / "page.md"
    path.write_text(text, encoding="utf-8")
    (block,) = code_blocks(path)
    return block


def typed(*rows: str, before: str = "") -> str:
    return f"# Page\n\n{before}\n\n```console\n" + "\n".join(rows) + "\n```\n"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (typed("$ expand chaptre 03"), "exit code 2, not 0"),
        (typed("$ expand budget --colour red"), "exit code 2, not 0"),
        (typed("$ uv run expand review 03"), "exit code 2, not 0"),
        (typed("$ expand outline check", before="<!-- exit 5 -->"), "exit code 0, not 5"),
        (typed("$ expand --version", "expand 9.9"), "but it prints"),
        (typed("$ expound chapter 03"), "no command that a page may use"),
        (typed("$ expand plan", before="<!-- in: a spaceship -->"), "no such place"),
        (typed("$ expand plan", before="<!-- given: a miracle -->"), "Known are"),
        (typed("$ expand plan", before="<!-- exits 0 5 -->"), "1 commands, 2 exits"),
        (typed("$ expand plan", before="<!-- not runn: tired -->"), "what does"),
        (typed("$ expand plan", before="<!-- not run: -->"), "gives no reason"),
        (typed("expand plan"), "begins with no"),
    ],
)
def test_a_page_that_is_wrong_fails(text: str, complaint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with (
        pytest.raises(AssertionError, match=complaint),
        Session(tmp_path / "session", monkeypatch) as session,
    ):
        session.run(page_of(tmp_path, text))


def test_what_is_not_run_is_looked_at_all_the_same(tmp_path: Path) -> None:
    reason = "<!-- not run: it needs a key -->"
    for command, why in (
        ("expand chapter 03 --colour", "no option --colour"),
        ("expand chaptre 03", "no command chaptre"),
        ("expand chapter 03 --concurrency many", "many"),
        ("expand review", "Missing"),
    ):
        (said,) = refused(page_of(tmp_path, typed(f"$ {command}", before=reason)))
        assert why in said
    assert not refused(page_of(tmp_path, typed("$ expand chapter 03 --json", before=reason)))


@pytest.mark.parametrize(
    ("language", "code"),
    [
        ("toml", "[author]\nmodle = 'x'\n"),
        ("yaml", "styl: tutorial\n"),
        ("yaml", "sections:\n  - {title: A, lines: -3}\n"),
        ("json", "{"),
        ("jinja", '{% extends "section.j2" %}\n{% block code %}{{ nothing }}{% endblock %}\n'),
        ("sql", "SELECT bill FROM attempt;\n"),
    ],
)
def test_a_file_that_is_wrong_fails(language: str, code: str, tmp_path: Path) -> None:
    block = page_of(tmp_path, f"```{language}\n{code}```\n")
    with pytest.raises(Exception, match=r"."):
        READERS[language](block, tmp_path)


def test_a_language_that_nothing_runs_fails_unless_it_says_why(tmp_path: Path) -> None:
    assert "nothing runs 'ruby'" in unmarked(page_of(tmp_path, "```ruby\nputs 1\n```\n"))
    assert "nothing runs ''" in unmarked(page_of(tmp_path, "```\nplain\n```\n"))
    marked = "<!-- not run: it is a picture -->\n```text\n->\n```\n"
    assert unmarked(page_of(tmp_path, marked)) == ""


def test_blocks_are_found_with_their_lines_and_what_is_said_of_them(tmp_path: Path) -> None:
    path = tmp_path / "page.md"
    path.write_text(
        "# Page\n\n```python\nprint(1)\n```\n\n<!-- given: plan.md -->\n"
        "<!-- exits 0 5: short -->\n\n```console\n$ expand doctor && expand plan # looks\n"
        "fine\n$ expand review 03 \\\n"
        "    --json\n```\n\nSay `expand plan` or ``a `b` c``.\n",
        encoding="utf-8",
    )
    first, second = code_blocks(path)
    assert (first.language, first.line, first.code, first.not_run) == (
        "python", 4, "print(1)\n", "",
    )  # fmt: skip
    assert first.padded().splitlines()[3] == "print(1)"
    assert (second.line, second.given, second.exits) == (11, ("plan.md",), (0, 5))
    looked, reviewed = second.commands
    assert list(looked.parts()) == [["expand", "doctor"], ["expand", "plan"]]
    assert (looked.shown, looked.exit_code, reviewed.exit_code) == ("fine\n", 0, 5)
    assert list(reviewed.parts()) == [["expand", "review", "03", "--json"]]
    assert inline_code(path) == ["expand plan"]
    assert code_blocks(path, "console") == [second]
