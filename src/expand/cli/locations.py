"""Names places in drafts as editors and people read them: ``drafts/03.md:162``, ``03/1-4``."""

from collections.abc import Iterable
from itertools import groupby

from expand.checks import Finding
from expand.document import draft
from expand.drafting.results import ChapterResult
from expand.workspace import Workspace, read_text


class Locations:
    """The locations of a draft's findings, in lines of the file on the disk."""

    def __init__(self, path: str, text: str) -> None:
        """``path`` is the file's name in messages, ``text`` its content."""
        self._path = path
        self._starts: dict[int, int] = {}
        at = line = 0
        for section in draft.read(text).sections:
            found = text.find(section.text, at)
            if found >= 0:
                line += text.count("\n", at, found)
                at = found
                self._starts[section.number] = line

    def of(self, finding: Finding) -> str:
        """``drafts/03.md:162``; a finding about the whole chapter is at its first line."""
        return f"{self._path}:{self._starts.get(finding.section, 0) + finding.line}"


def locations_of(workspace: Workspace, chapter: ChapterResult) -> Locations:
    """The locations of a chapter's findings."""
    path = workspace.draft_path(chapter.id)
    return Locations(chapter.draft, read_text(path) if path.is_file() else "")


def named(sections: Iterable[tuple[str, int]]) -> str:
    """Sections by chapter and number, with neighbours as ranges: ``03/1-4, 03/7, 05/2``."""
    parts = []
    for chapter, group in groupby(sorted(set(sections)), key=lambda key: key[0]):
        numbers = [number for _, number in group]
        runs = groupby(enumerate(numbers), key=lambda pair: pair[1] - pair[0])
        for _, run in runs:
            members = [number for _, number in run]
            last = f"-{members[-1]}" if len(members) > 1 else ""
            parts.append(f"{chapter}/{members[0]}{last}")
    return ", ".join(parts)
