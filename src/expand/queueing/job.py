"""A section wanted of a worker, as it travels through the queue."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from expand.completion import Json
from expand.outline.plan import Plan


@dataclass(frozen=True, kw_only=True, slots=True)
class SectionJob:
    """One section and what it is to be made from.

    ``key`` is the section's key as whoever asked computed it (see ``drafting.currency``),
    ``edition`` the number in it and ``model`` the model in it, for messages. ``lines`` is the
    target. ``present`` is the text of each topic as it stands, where an editor's instruction is to
    be carried out on it.
    """

    chapter: str
    section: int
    plan: Plan
    language: str
    key: str
    edition: int
    model: str
    lines: int
    unpriced: bool = False
    present: Mapping[int, str] = field(default_factory=dict)

    @property
    def place(self) -> str:
        """Which section of which book it is, whatever it is made from."""
        return f"{self.chapter}/{self.section}/{self.plan.value}/{self.language}"

    @property
    def lock(self) -> str:
        """What is the same for two jobs that ask for the same: they are queued once."""
        return f"{self.place}/{self.key}"

    def as_json(self) -> dict[str, Json]:
        """The job as the queue keeps it."""
        return {
            "chapter": self.chapter,
            "section": self.section,
            "plan": self.plan.value,
            "language": self.language,
            "key": self.key,
            "edition": self.edition,
            "model": self.model,
            "lines": self.lines,
            "unpriced": self.unpriced,
            "present": {str(slot): text for slot, text in self.present.items()},
        }

    @classmethod
    def of(cls, kept: Mapping[str, Any]) -> Self:
        """The job that the queue kept."""
        return cls(
            **{
                **kept,
                "plan": Plan(kept["plan"]),
                "present": {int(slot): text for slot, text in kept["present"].items()},
            }
        )
