"""A section that a worker is to buy, as it travels through the queue."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from expand.drafting.run_options import RunOptions
from expand.schema import Json

JOB_OPTIONS = ("plan", "language", "unpriced")
"""The options that a job carries: whoever works on it drafts what was asked for."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SectionJob:
    """One section and what it is to be made from.

    ``key`` is the section's key as whoever queued it computed it (see ``drafting.chapter``), ``edition`` the number
    of the revision in it and ``model`` the model in it, for messages. ``lines`` is the target. ``present`` is the text
    of each topic as it stands, where an editor's instruction is to be carried out on it; ``begun`` is that text where
    the section goes on from it. ``ledger_id`` is the number that the ledger has its editions under, 0 for its own.
    """

    chapter: str
    section: int
    options: RunOptions
    key: str
    edition: int
    model: str
    lines: int
    present: Mapping[int, str] = field(default_factory=dict)
    begun: Sequence[str] = ()
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
