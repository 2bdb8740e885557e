"""How the code blocks of a chapter are judged; which of a section's are refused, and what takes their place."""

import asyncio
import re
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, cast

from expand.checks import not_ignored
from expand.code_check.chapter_code import CodeCheck, Crate, Judged, Project, defined
from expand.code_check.checkers import files_named
from expand.drafting.chapter import Chapter
from expand.drafting.section_text import SectionText
from expand.errors import InputError
from expand.markdown import blocks, sanitize
from expand.markdown.matching import title_key
from expand.outline import Section
from expand.settings import Settings
from expand.workspace import Workspace, read_text

MOST_BESIDE = 6_000
"""Characters of other blocks that a request for a repair shows: some 150 lines of code."""


def code_check(workspace: Workspace, settings: Settings, chapter: Chapter) -> CodeCheck:
    """How a chapter's code is judged. Blocks include files of the workspace, by paths from the chapter's document or
    the root. What the code is built with, the outline says, and what it leaves unsaid, the brief. Raises ``InputError``
    for the path of a package that leads out of the workspace."""
    folder = workspace.source_path(chapter.outline.source).parent
    shared = chapter.brief.shared if chapter.brief else {}
    packages = {**cast("dict[str, Any]", shared.get("packages", {})), **chapter.outline.packages}

    def include(path: str) -> str | None:
        for base in (folder, workspace.root):
            with suppress(InputError):
                file = workspace.inside(base / path)
                if file.is_file():
                    return read_text(file)
        return None

    def files(section: Section) -> dict[str, tuple[str, ...]]:
        entry = chapter.brief_of(section)
        shown = [files_named(entry.topic(topic.every()).get("shows", ())) if entry else () for topic in section.topics]
        titles = zip(section.topics, shown, strict=True)
        return {title_key(title): paths for topic, paths in titles for title in topic.every()} if any(shown) else {}

    def crate(said: str | dict[str, Any]) -> Crate:
        stated = {"version": said} if isinstance(said, str) else said
        path = workspace.inside(stated["path"]) if "path" in stated else None
        return Crate(str(stated.get("version", "*")), path, tuple(stated.get("features", ())))

    found = re.findall(r"2015|2018|2021|2024", chapter.outline.edition or str(shared.get("edition")))
    return CodeCheck(
        kept=workspace.state_path("code", "verdicts.json"),
        project=Project(
            edition=found[0] if found else "",
            crates={name: crate(said) for name, said in packages.items()},
        ),
        own=settings.code.checkers,
        run=settings.code.run,
        include=include,
        files={section.number: files(section) for section in chapter.outline.sections},
    )


@dataclass(eq=False)
class SectionCode:
    """Judges one section's blocks among those of its chapter; ``texts`` are all sections as they stand by now,
    ``ignored`` says which kinds of findings are silenced in one, ``every`` is what was judged last."""

    check: CodeCheck
    texts: Mapping[int, str]
    section: int
    ignored: Callable[[int], frozenset[str]]
    every: tuple[Judged, ...] = ()

    async def refused(self, text: SectionText, *, package: bool) -> dict[int, dict[int, Judged]]:
        """The refused blocks that a model wrote, by topic and by number among the topic's fences: those that belong to
        the chapter's ``package``, or all others."""
        judged = await self._judged(text)
        refused = {
            slot: {n: one for n, one in enumerate(found) if one and one.failed and one.in_package == package}
            for slot, found in judged.items()
        }
        return {slot: found for slot, found in refused.items() if found}

    def problems(self, failed: Mapping[int, Judged]) -> tuple[str, ...]:
        """What is wrong with refused blocks, and the blocks of their package in which the cure may lie: the manifest,
        and those that define what the errors and their lines name."""
        lines = {(one.block.section, one.block.line) for one in failed.values()}
        named = {word for one in failed.values() for word in one.words}
        beside, room = [], MOST_BESIDE
        for one in self.every if any(one.in_package for one in failed.values()) else ():
            block = one.block
            is_near = block.name.endswith("Cargo.toml") or named & defined(block)
            if block.name and is_near and (block.section, block.line) not in lines and len(block.code) <= room:
                room -= len(block.code)
                beside.append(f"for your information, {block.name} in section {block.section}:\n{block.code.strip()}")
        return (*(one.finding.message for one in failed.values()), *beside)

    def shown(self, text: SectionText, slot: int, failed: Iterable[int]) -> str:
        """The blocks as they stand in a topic's text."""
        fences = blocks.fences(text.bodies[slot])
        return "\n\n".join(fences[number].text for number in failed) + "\n"

    async def replaced(self, text: SectionText, slot: int, failed: Mapping[int, Judged], answer: str) -> SectionText:
        """The text with what an answer mends. An answer may hold the refused blocks, or all of the topic's."""
        written = [fence.code for fence in blocks.fences(sanitize.bare(answer)[0])]
        if len(written) == len(blocks.fences(text.bodies[slot])):
            written = [written[number] for number in failed]
        if len(written) != len(failed):
            return text
        for (number, former), code in zip(failed.items(), written, strict=True):
            tried = text.with_code(slot, number, code)
            now = (await self._judged(tried))[slot][number]
            errors = len(now.verdict.errors) if now else 0
            if (now and now.verdict.state == "passed") or 0 < errors < len(former.verdict.errors):
                text = tried
        return text

    async def _judged(self, text: SectionText) -> dict[int, list[Judged | None]]:
        """What became of each fence of each topic, in order; None for what is no code. Compilers take seconds: other
        sections go on meanwhile."""
        whole = text.render()
        verdicts = await asyncio.to_thread(self.check.judge, {**self.texts, self.section: whole})
        self.every = verdicts.judged
        judged = {one.block.line: one for one in verdicts.judged if one.block.section == self.section}
        failed = {line: one.finding for line, one in judged.items() if one.failed}
        wanted = not_ignored(failed.values(), {self.section: whole}, self.ignored)
        judged = {line: one for line, one in judged.items() if line not in failed or failed[line] in wanted}
        starts = [fence.start + 1 for fence in blocks.fences(whole)]
        return {slot: [judged.get(line) for line in starts if line in lines] for slot, lines in text.spans().items()}
