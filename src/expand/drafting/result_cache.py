"""Recognise finished chapters without reading them again.

When a run leaves a chapter with nothing to do, its result is kept under a hash of everything that it follows from:
outline, book, source, draft, templates, profile, language, plan, and the tool's own code. As long as all of it is the
same, a later run would come to the same result, and need not parse, check or render anything for it: a second run over
10,000 finished sections takes seconds. Whatever differs has the chapter looked at anew.

There is one JSON file for each plan and language, written once, when a run ends. It is derived and may be deleted.
"""

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path, PurePath
from typing import Any

from expand.checks import Finding
from expand.drafting.draft_file import DraftFile
from expand.drafting.read_record import record_path
from expand.drafting.results import ChapterResult, SectionResult
from expand.drafting.run_options import RunOptions
from expand.drafting.section_state import Revisions
from expand.errors import InputError
from expand.llm.profile import Profile
from expand.paths import read_file
from expand.prompts.rendering import packaged_folder
from expand.workspace import MAX_DOCUMENT_BYTES, Workspace, write_atomically

_CODE = ("checks", "document", "drafting", "llm", "markdown", "outline", "prompts", "references", "schema")
"""The packages that decide what becomes of a chapter."""


class ResultCache:
    """The finished chapters of a workspace, for a run's options under one profile."""

    def __init__(self, workspace: Workspace, options: RunOptions, profile: Profile, *, usable: bool = True) -> None:
        """Where it is not ``usable``, nothing is known and nothing kept."""
        self._workspace = workspace
        self._options = options
        self._profile = profile
        # Only whole, plain runs. With some sections, the result says less than a run without would, and would be wrong
        # for it.
        self._whole = usable and not (options.sections or options.fresh)
        self._path = workspace.state_path("finished", f"{options.language}.{options.plan.value}.json")
        self._shared = self._shared_hash() if self._whole else ""
        self._outlines = {c: _hash(workspace.outline_path(c)) for c in options.chapters if self._whole}
        self._new: dict[str, Any] = {}
        kept = self._read() if self._whole else {}
        self._known = {c: kept[c] for c in options.chapters if c in kept and self._is_current(kept[c])}

    def __contains__(self, chapter: str) -> bool:
        return chapter in self._known

    def result(self, chapter: str, revisions: Revisions) -> ChapterResult | None:
        """What a run would come to for the chapter, None when it has to be looked at."""
        record = self._known.get(chapter)
        if record is None or record["revisions"] != _of_draft(record["result"]["draft"], revisions):
            return None
        return _result(record["result"])

    def keep(
        self, draft_file: DraftFile, result: ChapterResult, revisions: Revisions, links: Mapping[str, bool]
    ) -> None:
        """Remember a chapter that has nothing left to do. ``links`` says which files were looked for for its findings,
        and whether they were there."""
        done = all(section.status in ("drafted", "reused", "edited") for section in result.sections)
        # An edit that came while the last section was written is in the draft, but not in the result.
        # Such a draft is looked at anew by the next run, which then reports it as edited.
        complete = all(draft_file.edited(section.number) == (section.status == "edited") for section in result.sections)
        if self._whole and done and complete:
            workspace, chapter = self._workspace, draft_file.chapter
            known = (record_path(workspace, what, result.draft) for what in ("read", "told"))
            others = (workspace.state_path("approved", result.id), *known, *chapter.references.files)
            files = {
                workspace.outline_path(result.id): self._outlines[result.id],
                workspace.source_path(chapter.outline.source): draft_file.present_source_hash,
                workspace.inside(result.draft): hashlib.sha256(draft_file.text.encode()).hexdigest(),
                **{path: _hash(path) for path in (workspace.brief_path(result.id), *others)},
            }
            self._new[result.id] = {
                "shared": self._shared,
                "files": {str(path): hashed for path, hashed in files.items()},
                "links": dict(links),
                "revisions": _of_draft(result.draft, revisions),
                "result": _form(result),
            }

    def write(self) -> None:
        """Write what is new, unless what all of it follows from changed since it was read."""
        # A template or the book that changed during the run may be in some results and not in others. Better to keep
        # nothing than a result under a hash that it was not made from.
        if self._new and self._shared == self._shared_hash():
            # A full disk here must not end a run whose drafts are written.
            with suppress(InputError):  # it is derived
                write_atomically(self._path, json.dumps({**self._read(), **self._new}), durable=False, private=True)

    def _read(self) -> dict[str, Any]:
        try:
            kept = json.loads(self._path.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError):
            return {}
        return kept if isinstance(kept, dict) else {}

    def _is_current(self, record: Any) -> bool:
        """Whether all that a chapter's record follows from is the same."""
        try:
            files = all(_hash(Path(path)) == was for path, was in record["files"].items())
            # A finding about a link depends on files that no hash covers.
            links = all(Path(path).exists() == there for path, there in record["links"].items())
            return files and links and record["shared"] == self._shared and bool(_result(record["result"]))
        # A record of an older version, or one that somebody edited. It is a cache: whatever is wrong with it, the
        # chapter can be looked at again.
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return False

    def _shared_hash(self) -> str:
        """The hash of what all chapters follow from. A template may take text from any file beside it."""
        package = Path(__file__).parents[1]
        # Size and time of the code, not its content: reading every module would take a good part of what the cache
        # saves. A new version of the tool has new times, and then every chapter is looked at once.
        code = sorted(path for name in _CODE for path in (package / name).glob("*.py"))
        templates = sorted({*_files(self._workspace.prompts_folder), *_files(packaged_folder())})
        memory = sorted(self._workspace.memory_path("book").parent.glob("*.yaml"))
        parts = [
            repr((self._options.language, self._options.plan.value, self._options.brief, self._profile)),
            *(f"{path} {path.stat().st_size} {path.stat().st_mtime_ns}" for path in code),
            # Contents here: templates are few, and editors and checkouts change their times without changing a word.
            *(f"{path} {_hash(path)}" for path in (self._workspace.book_path, *templates, *memory)),
        ]
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def _files(root: Path) -> Iterator[Path]:
    """The files in a folder and below, each folder once, wherever a link leads."""
    known: set[Path] = set()
    for place, below, names in os.walk(root, followlinks=True):
        folder = Path(place).resolve()
        if folder in known or not folder.is_relative_to(root.parent.resolve()):  # no template can come from outside
            below.clear()
            continue
        known.add(folder)
        yield from (Path(place, name) for name in names)


def _hash(path: Path) -> str:
    """sha256 of a file, "" where there is none."""
    try:
        return hashlib.sha256(read_file(path, MAX_DOCUMENT_BYTES)).hexdigest()
    except OSError:
        return ""


def _of_draft(path: str, revisions: Revisions) -> list[list[Any]]:
    name = PurePath(path).stem
    return sorted([number, *what] for (draft, number), what in revisions.items() if draft == name)


def _form(result: ChapterResult) -> dict[str, Any]:
    """A result as JSON, as a run that had nothing to do would come to it."""
    form = asdict(result)
    for section in form["sections"]:
        section["status"] = "edited" if section["status"] == "edited" else "reused"
        for name in ("attempts", "answers", "usage"):
            del section[name]
    return form


def _result(form: dict[str, Any]) -> ChapterResult:
    sections = (
        SectionResult(**{**section, "findings": _findings(section["findings"])}) for section in form["sections"]
    )
    return ChapterResult(**{**form, "sections": tuple(sections), "findings": _findings(form["findings"])})


def _findings(forms: list[dict[str, Any]]) -> tuple[Finding, ...]:
    return tuple(Finding(**form) for form in forms)
