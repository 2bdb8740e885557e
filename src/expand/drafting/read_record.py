"""What the last read-through of a draft found, and of which texts, in ``.expand/read/<draft>.json``: a section that was
changed since has no findings any more, since nobody has read it. What runs alone could tell of texts, in
``.expand/told/<draft>.json``. And what a person has taken of a chapter, in ``.expand/approved/<chapter>``."""

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path, PurePath
from typing import Literal

from expand.checks.finding import Finding
from expand.document.draft import text_hash
from expand.workspace import Workspace, write_atomically


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
    with suppress(OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        kept = json.loads(record_path(workspace, "read", draft).read_text(encoding="utf-8"))
        before, texts = ({int(number): text for number, text in kept[name].items()} for name in ("before", "texts"))
        return ReadRecord(before=before, texts=texts, findings=tuple(Finding(**one) for one in kept["findings"]))
    return ReadRecord(before={}, texts={})


def keep_record(workspace: Workspace, draft: str, record: ReadRecord) -> None:
    """Keeps the record; it is on disk when this returns. Raises ``InputError``."""
    path = record_path(workspace, "read", draft)
    write_atomically(path, json.dumps(asdict(record), ensure_ascii=False) + "\n", private=True)


TOLD = frozenset({"cut", "repeats"})
"""What a run tells of a text that others cannot see in it. Other warnings are of the run: what it took, what it could
not ask."""


def told(workspace: Workspace, draft: str) -> dict[str, tuple[Finding, ...]]:
    """The warnings that runs gave of a draft's sections, by the hash of the text. Nothing where it cannot be read."""
    with suppress(OSError, ValueError, TypeError, AttributeError, RecursionError):
        kept = json.loads(record_path(workspace, "told", draft).read_text(encoding="utf-8"))
        return {text: tuple(Finding(**one) for one in found) for text, found in kept.items()}
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
        form = {text: [asdict(one) for one in every] for text, every in now.items()}
        path = record_path(workspace, "told", draft)
        write_atomically(path, json.dumps(form, ensure_ascii=False) + "\n", private=True)


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
