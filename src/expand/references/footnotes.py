"""Citations in a draft: ``[R3]``, as a model writes it, and the footnote that the draft has in its place.

A footnote's name has the passage's mark in it, which follows from the words that are cited. So a draft tells by itself
which of its sections cite what a reference does not say any more. Nothing in code is taken for a citation.

Apart from ``citations``, which loads the checks: the reports count citations, and start without them.
"""

import re
from collections.abc import Callable, Collection, Mapping, Sequence

from expand.markdown import names
from expand.markdown.blocks import rows
from expand.references.passages import MARK_DIGITS, Passage

CITATION = re.compile(
    r"(?m)^[ \t]*\[R\d{1,4}\]:|"
    r"(?P<gap>[ \t]*)[\[【]\^?(?P<ids>R\d{1,4}(?:[ \t]*[,;，、；][ \t]*\^?R\d{1,4})*)[\]】](?!\()"
)
"""Names of passages as models write them; or a definition that looks like one, without ``ids``."""
NOTE = re.compile(rf"\[\^r-(?P<mark>[0-9a-f]{{{MARK_DIGITS}}})(?:-\d+)?\](?!:)")
"""The footnote of a citation where it is used."""
_ID = re.compile(r"R\d+")
_NOTE_NAME = re.compile(rf"\^r-(?P<mark>[0-9a-f]{{{MARK_DIGITS}}})(?:-\d+)?")


def with_footnotes(bodies: Sequence[str], passages: Mapping[str, Passage]) -> list[str]:
    """The texts of a section with footnotes in the place of citations of ``passages``; each is defined once, below the
    first text that cites it. What cites no passage stays as it is."""
    if not passages:
        return [*bodies]
    defined = {definition.name for body in bodies for definition in names.definitions(body)}
    found = []
    for body in bodies:
        new: dict[str, Passage] = {}

        def note(cited: re.Match[str], new: dict[str, Passage] = new) -> str:
            said = "" if cited["ids"] else cited[0]
            for name in _ID.findall(cited["ids"] or ""):
                if (passage := passages.get(name)) is not None:
                    new[f"^r-{passage.mark}"] = passage
                said += f"[^r-{passage.mark}]" if passage else f"[{name}]"
            return said if not cited["gap"] or said.startswith("[^") else cited["gap"] + said

        text = _outside_code(body, CITATION, note)
        notes = [f"[{name}]: {_says(passage)}" for name, passage in new.items() if name not in defined]
        defined |= new.keys()
        found.append(text.rstrip("\r\n") + "\n\n" + "\n".join(notes) + "\n" if notes else text)
    return found


def with_ids(text: str, passages: Mapping[str, Passage]) -> str:
    """A text of a draft as requests quote it: with the names of ``passages`` in the place of their footnotes."""
    ids = {passage.mark: name for name, passage in passages.items()}
    if not ids or "[^r-" not in text:
        return text
    bare = _redefined(text, lambda mark, _: "" if mark in ids else None)
    said = _outside_code(bare, NOTE, lambda note: f"[{ids[note['mark']]}]" if note["mark"] in ids else note[0])
    return said.rstrip("\r\n") + "\n" if said.strip() else ""


def renewed(text: str, known: Mapping[str, Passage]) -> str:
    """The text with footnotes that say where the passages that they cite stand by now."""

    def note(mark: str, content: str) -> str | None:
        passage = known.get(mark)
        return _says(passage) if passage and content != _says(passage) else None

    return _redefined(text, note) if "[^r-" in text else text


def _redefined(text: str, said: Callable[[str, str], str | None]) -> str:
    """The text with what ``said`` gives for the mark and the content of a footnote in the place of its content: "" for
    no footnote, None for the same."""
    lines = rows(text)
    for name, start, end, content in names.definitions(text):
        found = _NOTE_NAME.fullmatch(name)
        new = said(found["mark"], content) if found else None
        if new is not None:
            ending = lines[end - 1][len(lines[end - 1].rstrip()) :]
            lines[start:end] = [f"[{name}]: {new}{ending}" if new else "", *[""] * (end - start - 1)]
    return "".join(lines)


def citations_in(text: str) -> int:
    """How often a text cites a reference of the workspace."""
    return len(NOTE.findall(text))


def cited_marks(text: str) -> set[str]:
    """The marks of the passages that a text of a draft cites."""
    return {note["mark"] for note in NOTE.finditer(names.without_code(text))} if "[^r-" in text else set()


def outdated(section: int, texts: Mapping[int, str], known: Collection[str]) -> tuple[str, ...]:
    """The places that one of a chapter's sections cites and whose marks are not ``known``: what stood there changed, or
    is gone."""
    gone = cited_marks(texts[section]).difference(known)
    if not gone:
        return ()
    notes = {d.name: d.content for other in texts.values() for d in names.definitions(other)}
    return tuple(sorted(notes.get(f"^r-{mark}", mark).strip("`.") for mark in gone))


def _says(passage: Passage) -> str:
    return f"<{passage.origin}> ({passage.saved}), `{passage.place}`." if passage.origin else f"`{passage.place}`."


def _outside_code(text: str, pattern: re.Pattern[str], replaced: Callable[[re.Match[str]], str]) -> str:
    """The text with what a pattern finds outside of code replaced."""
    said, at = "", 0
    for found in pattern.finditer(names.without_code(text)):
        said += text[at : found.start()] + replaced(found)
        at = found.end()
    return said + text[at:]
