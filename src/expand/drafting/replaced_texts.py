"""Texts that a person had edited and that ``--fresh`` replaced: kept, so that they can be brought back.

They are in ``.expand/replaced/<chapter>.jsonl``, one a line, the last one last; nothing takes them out.
"""

import json
from dataclasses import asdict, dataclass

from expand.errors import InputError, Place
from expand.markdown.matching import title_key
from expand.workspace import Workspace, read_text, write_atomically


@dataclass(frozen=True, kw_only=True, slots=True)
class ReplacedText:
    """A section as it was, with its heading, under the number and title that it had."""

    number: int
    title: str
    text: str


def keep_replaced(workspace: Workspace, chapter: str, replaced: ReplacedText) -> None:
    """Keeps a text; it is on disk when this returns. Raises ``InputError``."""
    entries = [*_entries(workspace, chapter), replaced]
    lines = [json.dumps(asdict(entry), ensure_ascii=False) for entry in entries]
    write_atomically(workspace.state_path("replaced", f"{chapter}.jsonl"), "\n".join(lines) + "\n", private=True)


def last_replaced(workspace: Workspace, chapter: str, *, number: int, title: str) -> ReplacedText:
    """The text that was replaced last of the section with this title, else of that number. Raises ``InputError``."""
    entries = _entries(workspace, chapter)[::-1]
    titled = [entry for entry in entries if title_key(entry.title) == title_key(title)]
    found = next(iter(titled or [entry for entry in entries if entry.number == number]), None)
    if found is None:
        raise InputError(
            f"no edit of section {number} of chapter {chapter} was replaced", remedy="there is nothing to bring back"
        )
    return found


def _entries(workspace: Workspace, chapter: str) -> list[ReplacedText]:
    path = workspace.state_path("replaced", f"{chapter}.jsonl")
    # By line feeds alone: a text may hold other line separators, which JSON leaves as they are.
    rows = read_text(path).split("\n") if path.is_file() else []
    try:
        return [ReplacedText(**json.loads(row)) for row in rows if row]
    except (ValueError, TypeError, RecursionError) as error:
        raise InputError(
            f"the texts that were replaced cannot be read: {error}",
            remedy="mend the file; each line is one text as JSON",
            place=Place(path=workspace.relative(path)),
        ) from error
