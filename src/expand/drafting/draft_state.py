"""What is kept beside drafts, in ``.expand``: in ``read/<draft>.json`` what the last read-through found, and of which
texts; in ``told/<draft>.json`` what runs alone could tell of texts; in ``approved/<chapter>`` what a person has taken.

``finished/<language>.<plan>.json`` recognises finished chapters without reading them again: it has the result of each
with nothing to do, under a hash of everything that it follows from, the tool's own code included. A later run over a
book of 500 sections of 150 lines takes 0.2 s so; to parse and check them takes over a minute. It may be deleted.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any, Literal

from expand.checks import Finding
from expand.document.draft import text_hash
from expand.drafting.results import ChapterResult, SectionResult
from expand.drafting.run_options import RunOptions
from expand.errors import InputError
from expand.llm.profile import Profile
from expand.paths import read_file
from expand.workspace import MAX_DOCUMENT_BYTES, Workspace, write_atomically

if TYPE_CHECKING:
    from expand.drafting.draft_file import DraftFile
    from expand.drafting.section_state import Revisions

_CODE = ("checks", "document", "drafting", "llm", "markdown", "outline", "prompts", "references", "schema")
"""The packages that decide what becomes of a chapter."""
TOLD = frozenset({"cut", "repeats"})
"""What a run tells of a text that others cannot see in it. Other warnings are of the run: what it took, what it could
not ask."""
_MALFORMED = (ValueError, TypeError, KeyError, AttributeError)
"""What reading a record of another form raises: of an older version, or one that somebody edited."""


def _kept(path: Path) -> Any:
    """What a file of the state holds, an empty mapping where it cannot be read."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}


def _keep(path: Path, value: Any, *, durable: bool = True) -> None:
    write_atomically(path, json.dumps(value, ensure_ascii=False) + "\n", durable=durable, private=True)


def _findings(forms: Iterable[dict[str, Any]]) -> tuple[Finding, ...]:
    return tuple(Finding(**form) for form in forms)


@dataclass(frozen=True, kw_only=True, slots=True)
class ReadRecord:
    """A read-through: the hash of each section's text by number, as it was read (``before``) and as it is with what was
    mended. ``before`` is there from the first request on: a run that was killed since is gone on with."""

    before: Mapping[int, str]
    texts: Mapping[int, str]
    findings: tuple[Finding, ...] = ()

    def findings_in(self, texts: Mapping[int, str]) -> tuple[Finding, ...]:
        """The findings in sections that are the same by now."""
        now = hashes(texts)
        return tuple(one for one in self.findings if self.texts.get(one.section) == now.get(one.section, ""))


def hashes(texts: Mapping[int, str]) -> dict[int, str]:
    """The hash of each section's text by number."""
    return {number: text_hash(text) for number, text in texts.items()}


def record_path(workspace: Workspace, what: Literal["read", "told"], draft: str) -> Path:
    """The file of what was read of a draft, or told of it by runs. The draft is given by its path."""
    return workspace.state_path(what, f"{PurePath(draft).stem}.json")


def read_record(workspace: Workspace, draft: str) -> ReadRecord:
    """The record for a draft, given by its path. One that cannot be read counts as none."""
    kept = _kept(record_path(workspace, "read", draft))
    with suppress(*_MALFORMED):
        before, texts = ({int(number): text for number, text in kept[name].items()} for name in ("before", "texts"))
        return ReadRecord(before=before, texts=texts, findings=_findings(kept["findings"]))
    return ReadRecord(before={}, texts={})


def keep_record(workspace: Workspace, draft: str, record: ReadRecord) -> None:
    """Keeps the record; it is on disk when this returns. Raises ``InputError``."""
    _keep(record_path(workspace, "read", draft), asdict(record))


def told(workspace: Workspace, draft: str) -> dict[str, tuple[Finding, ...]]:
    """The warnings that runs gave of a draft's sections, by the hash of the text. Nothing where it cannot be read."""
    with suppress(*_MALFORMED):
        return {text: _findings(found) for text, found in _kept(record_path(workspace, "told", draft)).items()}
    return {}


def keep_told(workspace: Workspace, draft: str, found: Mapping[str, Sequence[Finding]]) -> None:
    """Keeps on disk what a run tells of some texts, by their hashes, in the place of what is known of these."""
    known = told(workspace, draft)
    warned = {
        text: tuple(one for one in every if one.severity == "warning" and one.kind in TOLD)
        for text, every in found.items()
    }
    now = {text: every for text, every in {**known, **warned}.items() if every}
    if now != known:
        path = record_path(workspace, "told", draft)
        _keep(path, {text: [asdict(one) for one in every] for text, every in now.items()})


def approved(workspace: Workspace, chapter: str) -> set[str]:
    """What a person has taken of a chapter: the hashes of texts, and ``length:`` with that of one whose length they
    take as it is. Nothing where it cannot be read: they are asked again."""
    with suppress(OSError, ValueError):
        return set(workspace.state_path("approved", chapter).read_text(encoding="utf-8").split())
    return set()


def approve(workspace: Workspace, chapter: str, text: str, *, length: bool) -> None:
    """Keep on disk that a person has taken a text, or its ``length``. Raises ``InputError``."""
    known = approved(workspace, chapter) | {"length:" * length + text_hash(text)}
    write_atomically(workspace.state_path("approved", chapter), "\n".join(sorted(known)) + "\n", private=True)


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

    def keep(self, draft_file: DraftFile, result: ChapterResult, revisions: Revisions) -> None:
        """Remember a chapter that has nothing left to do. One with broken links may have any time: files come."""
        broken = any(found.kind == "broken-link" for found in result.every_finding)
        done = all(section.status in ("drafted", "reused", "edited") for section in result.sections)
        # An edit that came while the last section was written is in the draft, but not in the result.
        # Such a draft is looked at anew by the next run, which then reports it as edited.
        complete = all(draft_file.edited(section.number) == (section.status == "edited") for section in result.sections)
        if self._whole and done and complete and not broken:
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
                "revisions": _of_draft(result.draft, revisions),
                "result": _form(result),
            }

    def write(self) -> None:
        """Write what is new."""
        if self._new:
            # A full disk here must not end a run whose drafts are written.
            with suppress(InputError):  # it is derived
                _keep(self._path, {**self._read(), **self._new}, durable=False)

    def _read(self) -> dict[str, Any]:
        kept = _kept(self._path)
        return kept if isinstance(kept, dict) else {}

    def _is_current(self, record: Any) -> bool:
        """Whether all that a chapter's record follows from is the same."""
        try:
            files = all(_hash(Path(path)) == was for path, was in record["files"].items())
            return files and record["shared"] == self._shared and bool(_result(record["result"]))
        # It is a cache: whatever is wrong with it, the chapter can be looked at again.
        except (OSError, *_MALFORMED):
            return False

    def _shared_hash(self) -> str:
        """The hash of what all chapters follow from. A template may take text from any file beside it."""
        from expand.prompts.rendering import packaged_folder  # start-up time: jinja2

        package, memory = Path(__file__).parents[1], self._workspace.memory_path("book").parent
        folders = (*(package / name for name in _CODE), self._workspace.prompts_folder, packaged_folder(), memory)
        files = sorted(path for folder in folders for path in folder.rglob("*") if path.suffix != ".pyc")
        # Size and time, not content: reading every module would take a good part of what the cache saves.
        states = ((path, path.stat()) for path in (self._workspace.book_path, *files) if path.is_file())
        parts = [
            repr((self._options.language, self._options.plan.value, self._options.brief, self._profile)),
            *(f"{path} {state.st_size} {state.st_mtime_ns}" for path, state in states),
        ]
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()


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
    sections = tuple(SectionResult(**{**one, "findings": _findings(one["findings"])}) for one in form["sections"])
    return ChapterResult(**{**form, "sections": sections, "findings": _findings(form["findings"])})
