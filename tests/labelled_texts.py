"""Labelled texts of each kind of finding, in ``labelled/``, and what the checks make of them.

A file there is a kind. ``found`` are texts that have the fault, ``spared`` are near misses that do not; ``held`` ones
were written after the rules, and no rule was changed for them. A text counts as found if a finding of its kind is above
a note. What ``text``, ``pairs`` and the other keys hold is told where they are read, in ``READERS``; any other key is
the language of a code block.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from expand.checks import Finding, check_chapter, check_section, source_findings
from expand.checks.consistency import Term, term_variants
from expand.checks.links import Contents
from expand.markdown import blocks, matching
from expand.outline import Quality, Section, Text
from expand.references.citations import citation_findings, with_footnotes
from expand.references.passages import passages_of

FOLDER = Path(__file__).parent / "labelled"
FILES = frozenset({"a.md", "./a.md", "img/a.png"})
"""What is there for links to lead to."""
FILLER = "Between the two stands a passage that has nothing to do with either of them, in its own words."


@dataclass(frozen=True, slots=True)
class Case:
    """A labelled text: whether it has a fault of its kind, and what the checks find in it."""

    kind: str
    held: bool
    faulty: bool
    text: str
    findings: tuple[Finding, ...]

    @property
    def found(self) -> bool:
        """Whether a finding of its kind is above a note."""
        return any(one.kind == self.kind and one.severity != "note" for one in self.findings)


@dataclass(frozen=True, slots=True)
class Figures:
    """How many texts have the fault and are found, have it and are missed, or are found without it."""

    found: int
    missed: int
    alarms: int

    @property
    def precision(self) -> float:
        """The share of the found texts that have the fault."""
        return self.found / (self.found + self.alarms) if self.found else 0.0

    @property
    def recall(self) -> float:
        """The share of the texts with the fault that are found."""
        return self.found / (self.found + self.missed) if self.found else 0.0


def checked(
    text: str, *, title: str = "T", topics: Sequence[str] = (), target: int = 0, language: str = "", examples: int = 0
) -> tuple[Finding, ...]:
    """The findings of a text as the only section of a chapter."""
    section = Section(number=1, title=Text(plain=title), lines=10, code_examples=examples)
    spoken = language or ("zh" if matching.is_cjk_text(text) else "en")
    quality = Quality(code_language="rust") if examples else Quality()
    found = check_section(
        section=section, title=title, topics=topics, text=text, target=target, language=spoken, quality=quality
    )
    return found + check_chapter({1: text}, exists=FILES.__contains__)


def _text(kind: str, text: str) -> tuple[Finding, ...]:
    """A whole text; of few-examples one that owes two."""
    return checked(f"## T\n\n{text}\n", examples=2 if kind == "few-examples" else 0)


def _pair(_: str, pair: Sequence[str]) -> tuple[Finding, ...]:
    """Two passages of one section."""
    return checked(f"## T\n\n{pair[0]}\n\n{FILLER}\n\n{pair[1]}\n")


def _source(_: str, pair: Sequence[str]) -> tuple[Finding, ...]:
    """A source and a draft."""
    return source_findings(blocks.blocks(pair[0] + "\n"), pair[1] + "\n")


def _heading(_: str, heading: str) -> tuple[Finding, ...]:
    """A heading in the section "Zero copy"."""
    text = f"## Zero copy\n\nSplice moves pages, mmap maps them.\n\n{heading}\n\nText.\n"
    return checked(text, title="Zero copy", topics=("splice", "mmap"))


POINTED = {
    1: "## 1. Starting workers\n\n### 1.1 The Worker type\n\nThe `Worker` starts a process.\n\n### 1.2 Limits\n\nA.\n",
    2: "## 2. Profiling tools\n\n### 2.1 perf\n\n{}\n\n### 2.2 Flame graphs\n\nThe `Flame` type draws.\n",
    3: "## 3. 收尾\n\n`stop()` ends the worker.\n",
}
"""A chapter of three sections, and the place of the text that refers to them."""


def _pointer(_: str, text: str) -> tuple[Finding, ...]:
    """A passage that refers to sections of a chapter."""
    contents = Contents(
        titles={
            1: ("Starting workers", "The Worker type", "Limits"),
            2: ("Profiling tools", "perf", "Flame graphs"),
            3: ("收尾",),
        },
        introduced={3: "Cleanup"},
        chapter=4,
    )
    return check_chapter({number: one.replace("{}", text) for number, one in POINTED.items()}, contents=contents)


def _cited(_: str, case: Sequence[str]) -> tuple[Finding, ...]:
    """A reference and a text that may cite its passages, as R1, R2, ..."""
    known = passages_of(case[0].encode(), "reference.md" if case[0].startswith("#") else "reference.rs")
    (text,) = with_footnotes([case[1]], {f"R{number}": passage for number, passage in enumerate(known, 1)})
    return tuple(citation_findings(text, {passage.mark: passage for passage in known}, (), section=1))


def _claims(_: str, case: Sequence[str]) -> tuple[Finding, ...]:
    """A claim that has to be cited, and a text."""
    return tuple(citation_findings(case[1], {}, [case[0]], section=1))


SETTLED = (
    Term("work queue", "the list of jobs that wait for a free worker", ("job queue", "task list"), "chapter 01"),
    Term("工作队列", "等待空闲工作进程的任务列表", ("任务队列", "作业表"), "第 1 章"),
    Term("back pressure", "", ("backpressure",), "chapter 02"),
)


def _named(_: str, text: str) -> tuple[Finding, ...]:
    """A passage of a chapter after the terms in ``SETTLED``."""
    return tuple(term_variants(f"## T\n\n{text}\n", SETTLED, section=1))


def _lengths(_: str, pair: Sequence[int]) -> tuple[Finding, ...]:
    """The lines that a section has, and its target."""
    rows = [f"Line {number} of this section says something new." for number in range(3, pair[0])]
    return checked("\n".join(["## T", "", *rows]) + "\n", target=pair[1])


READERS: Mapping[str, Callable[[str, Any], tuple[Finding, ...]]] = {
    "text": _text,
    "pairs": _pair,
    "sources": _source,
    "headings": _heading,
    "lengths": _lengths,
    "pointers": _pointer,
    "cited": _cited,
    "claims": _claims,
    "named": _named,
}


def _cases(kind: str, held: bool, part: Mapping[str, Any]) -> Iterator[Case]:
    for label in ("found", "spared"):
        for key, values in part.get(label, {}).items():
            if key == "language":
                texts = [(language, text) for language, every in values.items() for text in every]
                for language, text in texts:
                    yield Case(kind, held, label == "found", text, checked(f"## T\n\n{text}\n", language=language))
                continue
            for value in values:
                read = READERS.get(key)
                findings = read(kind, value) if read else _text(kind, f"Text.\n\n```{key}\n{value}\n```")
                yield Case(kind, held, label == "found", str(value), findings)
    for one in part.get("topics", ()):
        topics = [*one["treated"], *one["missing"]]
        findings = checked(one["text"].lstrip(), topics=topics, language=one["language"])
        missed = {int(n): f for f in findings if f.kind == kind for n in re.findall(r"topic (\d+) of", f.message)}
        for number, topic in enumerate(topics, 1):
            own = (missed[number],) if number in missed else ()
            yield Case(kind, held, number > len(one["treated"]), topic, own)


@cache
def cases() -> tuple[Case, ...]:
    """Every labelled text, checked."""
    found: list[Case] = []
    for path in sorted(FOLDER.glob("*.toml")):
        parts = tomllib.loads(path.read_text(encoding="utf-8"))
        for name in parts:
            found += _cases(path.stem, name == "held", parts[name])
    return tuple(found)


def figures(every: Sequence[Case]) -> Figures:
    """The figures of some labelled texts."""
    return Figures(
        found=sum(case.faulty and case.found for case in every),
        missed=sum(case.faulty and not case.found for case in every),
        alarms=sum(case.found and not case.faulty for case in every),
    )


def table(every: Sequence[Case]) -> str:
    """The figures of each kind as a Markdown table; those of the texts held out in the last columns."""
    rows = [
        "| finding | with the fault | without | precision | recall | held out | precision | recall |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for kind in sorted({case.kind for case in every}):
        own = [case for case in every if case.kind == kind]
        held = [case for case in own if case.held]
        faulty = sum(case.faulty for case in own)
        of_all, of_held = figures(own), figures(held)
        last = f"{len(held)} | {of_held.precision:.1%} | {of_held.recall:.1%}" if held else "| |"
        rows.append(
            f"| `{kind}` | {faulty} | {len(own) - faulty} | {of_all.precision:.1%} | {of_all.recall:.1%} | {last} |"
        )
    return "\n".join(rows)
