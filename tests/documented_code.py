"""The fenced code blocks of a Markdown document, and what the comments before a block say of it.

Comments stand right before a block, each on a line of its own; readers of the page do not see them:

    <!-- not run: it needs a key -->        why the block is not run
    <!-- exit 5: two sections are short --> what its last command ends with, if not 0
    <!-- exits 0 5 0 -->                    the same for each of its commands
    <!-- in: an empty folder -->            where this block and those after it run
    <!-- given: plan.md -->                 what is there before it runs
    <!-- of: pre-commit -->                 whose file it is, where it is not one of this tool's
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from expand.markdown import blocks

_SAID = re.compile(r"<!--\s*(?P<word>[a-z ]+?)(?P<rest>:.*|\s[\d ]+(?::.*)?)?\s*-->")
_WORDS = ("not run", "exit", "exits", "in", "given", "of")
_CODE = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")


@dataclass(frozen=True, kw_only=True)
class Command:
    """What was typed, what the page shows that it prints, and what it ends with."""

    typed: str
    shown: str
    exit_code: int = 0

    def parts(self) -> Iterator[list[str]]:
        """The words of each command that ``&&`` joins, comments left out."""
        reader = shlex.shlex(self.typed, posix=True, punctuation_chars="&|<>;")
        reader.whitespace_split = True
        reader.commenters = "#"
        words: list[str] = []
        for word in reader:
            if word == "&&":
                yield words
                words = []
            else:
                words.append(word)
        yield words


@dataclass(frozen=True, kw_only=True)
class CodeBlock:
    """One block. ``line`` is that of its first line of code; ``not_run`` is "" where it is run."""

    path: Path
    line: int
    language: str
    code: str
    not_run: str = ""
    exits: tuple[int, ...] = ()
    place: str = ""
    given: tuple[str, ...] = ()
    owner: str = ""

    @property
    def name(self) -> str:
        """How it is called in a test report."""
        return f"{self.path.name}:{self.line}"

    @property
    def commands(self) -> tuple[Command, ...]:
        """The commands of a console block: what follows each ``$``."""
        typed: list[tuple[str, str]] = []
        for row in self.code.replace("\\\n", "").splitlines(keepends=True):
            if row.startswith("$ "):
                typed.append((row[2:].strip(), ""))
            else:
                assert typed, f"{self.name}: begins with no `$ `"
                typed[-1] = (typed[-1][0], typed[-1][1] + row)
        exits = self.exits
        if len(exits) < 2:
            exits = (*(0 for _ in typed[1:]), *(exits or (0,)))
        assert len(exits) == len(typed), f"{self.name}: {len(typed)} commands, {len(exits)} exits"
        return tuple(
            Command(typed=words, shown=shown, exit_code=code) for (words, shown), code in zip(typed, exits, strict=True)
        )

    def padded(self) -> str:
        """The code with as many blank lines before it as it has in the document."""
        return "\n" * (self.line - 1) + self.code


def code_blocks(path: Path, *languages: str) -> list[CodeBlock]:
    """The blocks of a document in these languages, or all, in order."""
    text = path.read_text(encoding="utf-8")
    rows = text.splitlines()
    found = []
    for fence in blocks.fences(text):
        language = fence.language.split()[0] if fence.language.strip() else ""
        if languages and language not in languages:
            continue
        said = list(_said(rows[: fence.start], path, fence.start + 1))
        found.append(
            CodeBlock(
                path=path,
                line=fence.start + 2,
                language=language,
                code=fence.code,
                not_run=next((rest for word, rest in said if word == "not run"), ""),
                exits=tuple(
                    int(code)
                    for word, rest in said
                    if word in ("exit", "exits")
                    for code in rest.partition(":")[0].split()
                ),
                place=next((rest for word, rest in said if word == "in"), ""),
                given=tuple(rest for word, rest in reversed(said) if word == "given"),
                owner=next((rest for word, rest in said if word == "of"), ""),
            )
        )
    return found


def _said(before: list[str], path: Path, line: int) -> Iterator[tuple[str, str]]:
    """What the comments right before a block say, the last one first."""
    for row in reversed(before):
        if not row.strip():
            continue
        if not (row.strip().startswith("<!--") and row.strip().endswith("-->")):
            return
        said = _SAID.fullmatch(row.strip())
        if said is None or said["word"] not in _WORDS:
            if "Generated by" in row:
                return
            raise AssertionError(f"{path.name}:{line}: what does {row.strip()} say of the block?")
        rest = (said["rest"] or "").removeprefix(":").strip()
        assert rest, f"{path.name}:{line}: {row.strip()} gives no reason"
        yield said["word"], rest


def inline_code(path: Path) -> list[str]:
    """The code spans of a document's paragraphs, lists and tables, in order."""
    text = path.read_text(encoding="utf-8")
    rows = text.splitlines()
    for fence in blocks.fences(text):
        rows[fence.start : fence.end] = [""] * (fence.end - fence.start)
    return _CODE.findall(re.sub(r"``.+?``", "", "\n".join(rows)))
