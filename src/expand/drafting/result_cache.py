"""Chapters that are finished, recognised without reading them again.

When a run leaves a chapter with nothing to do, its result is kept under a hash of everything that
it follows from: outline, book, source, draft, templates, profile, language, plan, and the tool's
own code. As long as all of it is the same, a later run would come to the same result, and need
not parse, check or render anything for it. Whatever differs has the chapter looked at anew.
The records are derived: they may be deleted at any time.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from expand.checks import Finding
from expand.drafting.draft_file import DraftFile
from expand.drafting.events import SectionStatus
from expand.drafting.results import ChapterResult, SectionResult
from expand.drafting.run_options import RunOptions
from expand.errors import InputError
from expand.llm.profile import Profile
from expand.prompts.template_lookup import packaged_folder
from expand.workspace import Workspace, write_bytes_atomically

# Records of chapters in one file that only grows: to add to a file costs a tenth of making one.
#
# Each line is a chapter's id, a tab and a JSON object; a chapter's last line counts. The records are
# derived, so a line that was cut off is none, and a file that cannot be written is left as it is.

MOST_STALE = 100
"""So many lines that count no more are left in the file, beside as many as there are that count."""


class AppendOnlyStore:
    """The records in one file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._surplus = 0

    def read(self, chapters: Collection[str]) -> dict[str, Any]:
        """What is kept of these chapters, as far as it can be read."""
        wanted = frozenset(chapters)
        found: dict[str, Any] = {}
        for chapter, line in self._last_lines().items():
            if chapter in wanted:
                with suppress(ValueError):
                    found[chapter] = json.loads(line)
        return found

    def add(self, chapter: str, record: Mapping[str, Any]) -> None:
        """Keeps a record, in the place of the chapter's last one."""
        line = f"\n{chapter}\t{json.dumps(record)}"  # in front, to end a line that was cut off
        if self._surplus > MOST_STALE:
            with suppress(InputError):
                self._write_anew()
        with suppress(OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("a", encoding="utf-8") as file:
                file.write(line)

    def _last_lines(self) -> dict[str, str]:
        try:
            lines = self._path.read_text(encoding="utf-8", errors="replace").split("\n")
        except OSError:
            return {}
        found = {chapter: line for chapter, tab, line in (one.partition("\t") for one in lines) if tab}
        self._surplus = len(lines) - 2 * len(found)
        return found

    def _write_anew(self) -> None:
        last = "".join(f"\n{chapter}\t{line}" for chapter, line in self._last_lines().items())
        write_bytes_atomically(self._path, last.encode(), durable=False)
        self._surplus = 0


Revisions = Mapping[tuple[str, int], tuple[int, str]]
"""How often sections were asked for afresh, and with which instruction, as the ledger has it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Record:
    result: ChapterResult
    editions: list[list[Any]]


class ResultCache:
    """The finished chapters of a workspace, for one options under one profile."""

    def __init__(self, workspace: Workspace, options: RunOptions, profile: Profile) -> None:
        self._workspace = workspace
        self._profile = profile
        self._options = options
        self._whole = not (options.sections or options.fresh or options.context == "text")
        roots = (workspace.prompts_folder, packaged_folder())
        folders = [folder for root in roots for folder in _folders(root)]
        # All files beside the templates too: a template may take text from any, through links.
        self._templates = sorted({path for folder in folders for path in folder.files})
        # A file that comes or goes changes the time of its folder.
        places = {*roots, *(folder.path for folder in folders)}
        self._watched = [workspace.book_path, *sorted(places), *self._templates]
        self._signature = self._signed()
        self._shared = self._digest_shared()
        self._outlines: dict[str, str] = {}
        kind = f"{options.language}.{options.plan.value}"
        self._kept = AppendOnlyStore(workspace.root / ".expand" / "finished" / f"{kind}.records")
        self._records: dict[str, _Record] = {}
        if self._whole:
            forms = self._kept.read(options.chapters)
            for chapter in options.chapters:
                self._outlines[chapter] = _hash(workspace.outline_path(chapter))
                if chapter in forms:
                    self._recognise(chapter, forms[chapter])

    def __contains__(self, chapter: str) -> bool:
        return chapter in self._records

    def result(self, chapter: str, editions: Revisions) -> ChapterResult | None:
        """What a run would come to for the chapter, None when it has to be looked at."""
        record = self._records.get(chapter)
        if record is None or record.editions != _of_chapter(chapter, editions):
            return None
        return record.result

    def keep(
        self,
        folio: DraftFile,
        result: ChapterResult,
        editions: Revisions,
        links: Mapping[str, bool],
    ) -> None:
        """Remembers a chapter that has nothing left to do; not if it or what it follows from may
        have changed since it was read.
        """
        chapter = folio.chapter
        done = all(s.status in ("drafted", "reused", "edited") for s in result.sections)
        # An edit that came while the last section was written is in the draft, but not told.
        told = all(folio.edited(s.number) == (s.status == "edited") for s in result.sections)
        outline = _hash(self._workspace.outline_path(chapter.id))
        same = self._outlines.get(chapter.id) == outline and self._signature == self._signed()
        if not (self._whole and done and told and same):
            return
        source = chapter.outline.source
        form = {
            "made_from": self._made_from(
                outline, folio.present_source_hash, hashlib.sha256(folio.text.encode()).hexdigest()
            ),
            "source": source,
            "links": dict(links),
            "editions": _of_chapter(chapter.id, editions),
            "result": {
                **_fields(result, but=("sections", "findings")),
                "sections": [_section_form(section) for section in result.sections],
                "findings": [_fields(finding) for finding in result.findings],
            },
        }
        self._kept.add(chapter.id, form)

    def _recognise(self, chapter: str, form: Any) -> None:
        """Takes what is kept of a chapter for true if all that it follows from is the same."""
        try:
            source = self._workspace.root / form["source"]
            draft = _hash(self._workspace.draft_path(chapter))
            made_from = self._made_from(self._outlines[chapter], _hash(source), draft)
            if not draft or form["made_from"] != made_from:
                return
            if any((source.parent / p).exists() != there for p, there in form["links"].items()):
                return
            self._records[chapter] = _Record(result=_result(form["result"]), editions=form["editions"])
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return  # not one of ours: the chapter is looked at

    def _made_from(self, *hashes: str) -> str:
        return hashlib.sha256("|".join((self._shared, *hashes)).encode()).hexdigest()

    def _digest_shared(self) -> str:
        """The hash of what all chapters follow from."""
        digest = hashlib.sha256(repr((self._options.language, self._profile)).encode())
        digest.update(self._options.plan.value.encode())
        digest.update(repr(_signatures(_code())).encode())
        digest.update(_hash(self._workspace.book_path).encode())
        for path in self._templates:
            digest.update(f"{path}\0{_hash(path)}\0".encode())
        return digest.hexdigest()

    def _signed(self) -> tuple[Any, ...]:
        return _signatures(self._watched)


@dataclass(frozen=True, slots=True)
class _Folder:
    path: Path
    files: tuple[Path, ...]


def _folders(root: Path) -> Iterator[_Folder]:
    """A folder and those below it with their files, each once, wherever a link leads."""
    known: set[Path] = set()
    for place, below, names in os.walk(root, followlinks=True):
        folder = Path(place).resolve()
        if folder in known:
            below.clear()
            continue
        known.add(folder)
        yield _Folder(Path(place), tuple(Path(place, name) for name in names))


def _code() -> Iterable[Path]:
    """The modules that decide what becomes of a chapter."""
    package = Path(__file__).parents[1]
    rooms = ("checks", "document", "drafting", "llm", "markdown", "outline", "prompts", "schema")
    return sorted(path for room in rooms for path in (package / room).glob("*.py"))


def _signatures(paths: Iterable[Path]) -> tuple[Any, ...]:
    found = []
    for path in paths:
        try:
            status = path.stat()
            found.append((str(path), status.st_size, status.st_mtime_ns))
        except OSError:
            found.append((str(path), 0, 0))
    return tuple(found)


def _hash(path: Path) -> str:
    """sha256 of a file, "" where there is none."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return ""


def _of_chapter(chapter: str, editions: Revisions) -> list[list[Any]]:
    return sorted([number, *what] for (c, number), what in editions.items() if c == chapter)


def _section_form(section: SectionResult) -> dict[str, Any]:
    status: SectionStatus = "edited" if section.status == "edited" else "reused"
    return {
        **_fields(section, but=("attempts", "answers", "usage")),
        "status": status,
        "findings": [_fields(finding) for finding in section.findings],
    }


def _fields(value: ChapterResult | SectionResult | Finding, *, but: Sequence[str] = ()) -> dict[str, Any]:
    return {f.name: getattr(value, f.name) for f in fields(value) if f.name not in but}


def _result(form: dict[str, Any]) -> ChapterResult:
    sections = [
        SectionResult(**{**section, "findings": _findings(section["findings"])}) for section in form["sections"]
    ]
    return ChapterResult(**{**form, "sections": tuple(sections), "findings": _findings(form["findings"])})


def _findings(forms: Iterable[dict[str, Any]]) -> tuple[Finding, ...]:
    return tuple(Finding(**form) for form in forms)
