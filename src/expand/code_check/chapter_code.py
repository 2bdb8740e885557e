"""Judge all code blocks of a chapter, side by side, and remember the verdicts.

A verdict follows from the block, from what it is judged with and from the toolchain. It is kept under the hash of all
three, so that a block that did not change is not compiled again. What could not be judged for want of something is not
kept: it may be there the next time.
"""

import hashlib
import json
import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

from expand.checks.finding import CodeCounts, Finding, excerpt, finding
from expand.code_check import checkers, sandbox
from expand.code_check.annotations import CodeBlock, code_blocks
from expand.code_check.checkers import Checker, CodeError, Verdict, unchecked
from expand.code_check.package import Project, belongs, states
from expand.errors import InputError
from expand.workspace import write_atomically

MOST_KEPT = 20_000
"""Verdicts in the cache; of more, the oldest go."""
MOST_MESSAGE = 300
"""Characters of one error that a finding quotes."""


class Judged(NamedTuple):
    """A block and its verdict; ``in_package`` where it was judged with files of other sections."""

    block: CodeBlock
    verdict: Verdict
    in_package: bool = False

    @property
    def failed(self) -> bool:
        """Whether it was refused."""
        return self.verdict.state == "failed"

    @property
    def lines(self) -> range:
        """The lines of the block in its section's text, from 1, without its fences."""
        return range(self.block.line + 1, self.block.line + self.block.rows + 1)

    @property
    def words(self) -> set[str]:
        """The names in the errors, and in the lines that have them."""
        rows = dict(enumerate(self.block.code.splitlines()))
        return {*re.findall(r"\w+", " ".join(f"{e.message} {rows.get(e.line, '')}" for e in self.verdict.errors))}

    @property
    def finding(self) -> Finding:
        """The finding for a block that was refused: every error with its line in the block."""
        said = "; ".join(f"line {e.line + 1}: {excerpt(e.message, MOST_MESSAGE)}" for e in self.verdict.errors)
        name = f" {self.block.name}" if self.block.name else ""
        line = min(self.lines.start + self.verdict.errors[0].line, max(self.lines, default=self.lines.start))
        return finding(
            "failed-code", self.block.section, line, f"the {self.block.language} block{name} is refused: {said}"
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class ChapterVerdicts:
    """The blocks of a chapter in order, with their verdicts."""

    judged: tuple[Judged, ...] = ()

    def counts(self, section: int) -> CodeCounts:
        """The figures of a section."""
        states = Counter(one.verdict.state for one in self.judged if one.block.section == section)
        return CodeCounts(states.total(), states["passed"] + states["failed"], states["failed"], states["unchecked"])

    def refused(self, section: int, *, package: bool = False) -> frozenset[int]:
        """The lines of a section, from 1, on which refused blocks begin; those of the chapter's ``package`` alone."""
        own = (one for one in self.judged if one.block.section == section and one.failed)
        return frozenset(one.block.line for one in own if one.in_package or not package)

    def over(self, section: int, findings: Iterable[Finding]) -> tuple[Finding, ...]:
        """The findings of a section with those of its code: where a toolchain has judged, a guess is worth nothing."""
        own = [one for one in self.judged if one.block.section == section and one.verdict.state != "unchecked"]
        lines = {line for one in own for line in one.lines}
        kept = [one for one in findings if one.kind != "broken-code" or one.line not in lines]
        return (*kept, *(one.finding for one in own if one.failed))

    def unchecked(self) -> tuple[Finding, ...]:
        """One note on all that could not be judged, and why."""
        reasons = Counter(one.verdict.why for one in self.judged if one.verdict.state == "unchecked")
        if not reasons:
            return ()
        said = "; ".join(f"{why} ({count})" if count > 1 else why for why, count in reasons.most_common())
        without = "; there is no sandbox here (bwrap or unshare), so nothing was executed" * (not sandbox.kind_here())
        blocks = "1 code block is" if reasons.total() == 1 else f"{reasons.total():,} code blocks are"
        return (finding("unchecked-code", 0, 1, f"{blocks} unchecked: {said}{without}"),)


@dataclass(frozen=True, kw_only=True)
class CodeCheck:
    """How the code of a chapter is judged. ``own`` are commands of the settings by language, ``run`` has programs run,
    ``kept`` is the file of the verdicts, ``project`` names edition and crates, ``include`` gives the text of a file
    that a block includes, and ``files`` are by section what ``code_blocks`` takes."""

    kept: Path
    project: Project = field(default_factory=Project)
    own: Mapping[str, str] = field(default_factory=dict)
    run: bool = False
    include: Callable[[str], str | None] | None = None
    files: Mapping[int, Mapping[str, Sequence[str]]] = field(default_factory=dict)

    def judge(self, texts: Mapping[int, str], *, known_only: bool = False) -> ChapterVerdicts:
        """Judge the blocks of a chapter's sections, given by number; with ``known_only`` no toolchain is started."""
        found = [
            block
            for number, text in texts.items()
            for block in code_blocks(text, section=number, include=self.include, files=self.files.get(number, {}))
        ]
        manifests = "\n".join(block.code for block in found if block.name.endswith("Cargo.toml"))
        stated = re.search(r'(?m)^edition\s*=\s*"(\d{4})"', manifests)
        edition = self.project.edition or (stated[1] if stated else "2021")
        found = [block if block.edition else replace(block, edition=edition) for block in found]
        known, fresh = _read(self.kept), dict[str, Verdict]()
        judges = {**checkers.CHECKERS, **checkers.own_checkers(self.own)}
        files = [block for block in found if belongs(block)]
        alone = [block for block in found if not belongs(block)]

        def verdicts(keys: Sequence[str], judge: Callable[[], Sequence[Verdict]]) -> Sequence[Verdict]:
            if known.keys() >= {*keys}:
                judged: Sequence[Verdict] = [known[key] for key in keys]
            else:
                judged = [unchecked("it was not judged yet")] * len(keys) if known_only else judge()
            fresh.update(zip(keys, judged, strict=True))
            return judged

        def judge_alone(block: CodeBlock) -> Verdict:
            checker = judges.get(block.language)
            if block.skip or checker is None:
                return unchecked(block.skip or f"no checker for {block.language}")
            key, files, above = self._basis(block, checker, found)
            return verdicts([key], lambda: [checkers.check_block(checker, block, files, above, run=self.run)])[0]

        with ThreadPoolExecutor(os.cpu_count() or 1) as workers:
            of_block = dict(zip(map(id, alone), workers.map(judge_alone, alone), strict=True))
        project = replace(self.project, edition=edition)
        names = {name for package, _ in states(project, files) for name in package.names.values()}
        crates = {*names, *(name.replace("-", "_") for name in project.crates)}
        members = [b for b in found if belongs(b) or checkers.missing_crate(of_block[id(b)]) in crates]
        code = "\n".join(block.code for block in found if block.language == "rust")
        for package, new in states(project, members, code):
            judged = verdicts([f"{package.key}:{number}" for number in range(len(package.blocks))], package.judge)
            of_block |= {id(b): verdict for b, verdict in zip(package.blocks, judged, strict=True) if id(b) in new}
        lasting = {key: verdict for key, verdict in fresh.items() if verdict.lasting}
        if lasting.keys() - known.keys():
            latest = dict([*{**known, **lasting}.items()][-MOST_KEPT:])
            with suppress(InputError):  # a full disk is no reason to lose the verdicts of this run
                write_atomically(self.kept, json.dumps(latest), durable=False, private=True)
        # A part of a Python file may need what another section defines, as a package's file may.
        own = {id(block) for block in (*members, *(one for one in found if one.language == "python" and one.name))}
        return ChapterVerdicts(judged=tuple(Judged(one, of_block[id(one)], id(one) in own) for one in found))

    def _basis(
        self, block: CodeBlock, checker: Checker, every: Sequence[CodeBlock]
    ) -> tuple[str, Mapping[str, str], Sequence[str]]:
        """The hash of all that the verdict on a block follows from; named files that it may use, and code above it."""
        files = {one.name: one.code for one in every if one.name and one.language in checker.beside}
        at = (block.section, block.line)
        before = [one for one in every if one.language == block.language == "python" and (one.section, one.line) < at]
        above = [one.code for one in before if one.section == block.section or (one.name and one.name == block.name)]
        tools = [(str(one), one.stat().st_size, one.stat().st_mtime_ns) for one in checkers.programs_of(checker)]
        words = (block.language, block.whole, block.lines_above, sorted(block.flags), block.edition)
        judged_with = (checker.command, tools, sorted(files.items()), above, self.run)
        return hashlib.sha256(repr((words, judged_with)).encode("utf-8", "replace")).hexdigest(), files, above


def _read(path: Path) -> dict[str, Verdict]:
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        return {
            key: Verdict(state, tuple(CodeError(int(line), str(said)) for line, said in errors), str(why))
            for key, (state, errors, why, _) in kept.items()
        }
    except (OSError, ValueError, TypeError, AttributeError, RecursionError):
        return {}  # it is derived: what cannot be read is judged again
