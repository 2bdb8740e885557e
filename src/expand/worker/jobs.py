"""A section that a worker is to buy, as it travels through the queue; and whether there can be a queue here.

None of the queue's libraries is loaded, so that a message can name what is missing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any, Self

from expand.drafting.run_options import RunOptions
from expand.errors import InputError, Place
from expand.ledger_location import Server
from expand.schema import Json
from expand.workspace import Workspace


def server_of(workspace: Workspace) -> Server:
    """The database that the queue is in. Raises ``InputError`` where the ledger is a file, and where what the queue
    is made of is not installed."""
    location = workspace.ledger_place
    if not isinstance(location, Server):
        inside = location.is_relative_to(workspace.root)
        raise InputError(
            "the queue needs a PostgreSQL ledger, and this one is the file "
            f"{workspace.relative(location) if inside else location}",
            remedy='set `ledger = "postgresql://USER@HOST/DATABASE?schema=BOOK"` at its top, or EXPAND_LEDGER',
            place=Place(path=workspace.settings_path),
        )
    if find_spec("procrastinate") is None or find_spec("psycopg_pool") is None:
        raise InputError(
            "the queue needs procrastinate, which is not installed", remedy="run `pip install 'chapter-expand[queue]'`"
        )
    return location


JOB_OPTIONS = ("plan", "language", "unpriced")
"""The options that a job carries: whoever works on it drafts what was asked for."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SectionJob:
    """One section and what it is to be made from.

    ``key`` is the section's key as whoever queued it computed it (see ``drafting.chapter``), ``edition`` the number of
    the revision in it and ``model`` the model in it, for messages. ``lines`` is the target. ``present`` is the text of
    each topic as it stands, where an editor's instruction is to be carried out on it; ``begun`` is that text where the
    section goes on from it, and ``opening`` what stands above, None for the brief's. ``ledger_id`` is the number that
    the ledger has its editions under, 0 for its own."""

    chapter: str
    section: int
    options: RunOptions
    key: str
    edition: int
    model: str
    lines: int
    present: Mapping[int, str] = field(default_factory=dict)
    begun: Sequence[str] = ()
    opening: str | None = None
    ledger_id: int = 0

    @property
    def place(self) -> str:
        """Which section of which book it is, whatever it is made from."""
        return f"{self.chapter}/{self.section}/{self.options.plan.value}/{self.options.language}"

    @property
    def lock(self) -> str:
        """What is the same for two jobs that ask for the same: they are queued once."""
        return f"{self.place}/{self.key}"

    def as_json(self) -> dict[str, Json]:
        """The job as the queue keeps it."""
        return {
            "chapter": self.chapter,
            "section": self.section,
            "key": self.key,
            "edition": self.edition,
            "model": self.model,
            "lines": self.lines,
            "begun": [*self.begun],
            "opening": self.opening,
            "ledger_id": self.ledger_id,
            "present": {str(slot): text for slot, text in self.present.items()},
            **{name: getattr(self.options, name) for name in JOB_OPTIONS},
        }

    @classmethod
    def of(cls, stored: Mapping[str, Any]) -> Self:
        """The job as the queue has it; what an older version stored is read too."""
        own = {name: value for name, value in stored.items() if name not in JOB_OPTIONS}
        options = RunOptions(**{name: stored[name] for name in JOB_OPTIONS if name in stored})
        present = {int(slot): text for slot, text in stored["present"].items()}
        return cls(**{**own, "options": options, "present": present})
