"""The options of a run: one value that the library, the command line and batches share.

A new option is a field here. ``expand chapter`` states it once more, with its help; the code that acts on it reads it
from here. Nothing in between has to name it.
"""

import os
from collections.abc import Iterable
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, Self

from expand.errors import InputError
from expand.outline import Outline, Plan, Section
from expand.settings import Overrides, Settings, read_settings
from expand.workspace import Workspace

if TYPE_CHECKING:
    from expand.drafting.approval import Decide

OWN_MODEL = "own"
"""The model's name where the caller brings an author and names no model: a general profile."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RunOptions:
    """Every option that reaches a run or one of its requests. Raises ``InputError`` for a value that it cannot have.

    ``sections`` are numbers from 1, None for all. ``fresh`` buys them anew, with ``instruction`` as an editor's wish.
    Without ``brief`` the chapter's brief is neither read nor made. ``read`` has each chapter read through by a model
    once it is drafted, None where that model's profile says so. ``budget`` is the most tokens that the run may reserve
    and spend. ``unpriced`` lets a model without a known price pass under a limit in money. ``model``, ``base_url``,
    ``api_key`` and ``concurrency`` stand over environment and ``expand.toml``. ``decide`` is asked about each brief and
    section, one after the other; see ``drafting.approval``."""

    chapters: tuple[str, ...] = ()
    plan: Plan = Plan.FULL
    language: str = ""
    sections: frozenset[int] | None = None
    fresh: bool = False
    instruction: str = ""
    brief: bool = True
    read: bool | None = None
    budget: int | None = None
    unpriced: bool = False
    model: str | None = None
    base_url: str | None = None
    api_key: str | None = field(default=None, repr=False)
    concurrency: int | None = None
    decide: "Decide | None" = field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        if self.plan not in tuple(Plan):
            raise InputError(f"plan is {self.plan!r}", remedy=f"give {' or '.join(Plan)}")
        if self.budget is not None and self.budget < 0:
            raise InputError(f"budget is {self.budget}", remedy="give a number of tokens, from 0 on")
        if self.read and self.sections is not None:
            raise InputError(
                "a read-through is of a whole chapter, and only some sections were named",
                remedy="leave out --read, and give `expand review ID --read` once the chapter is drafted",
            )
        object.__setattr__(self, "plan", Plan(self.plan))
        if self.sections is not None:
            object.__setattr__(self, "sections", frozenset(self.sections))

    @classmethod
    def of(
        cls, workspace: Workspace, chapters: str | Iterable[str], options: Self | None = None, **changes: Any
    ) -> Self:
        """The options of a run over some chapters: ``options`` with ``changes`` on top, in the book's language if none
        is given. A change that is None says nothing. Raises ``InputError``, and ``TypeError`` for an unknown name."""
        known = {f.name for f in fields(cls)} - {"chapters"}
        if unknown := sorted(set(changes) - known):
            raise TypeError(f"there is no option {unknown[0]!r}; known are {', '.join(sorted(known))}")
        given = {name: value for name, value in changes.items() if value is not None}
        named = (chapters,) if isinstance(chapters, str) else tuple(dict.fromkeys(chapters))
        if not named:
            raise InputError("no chapter named", remedy="name one, or give workspace.chapter_ids()")
        made = replace(options or cls(), chapters=named, **given)
        return made if made.language else replace(made, language=workspace.book().language)

    def settings(self, workspace: Workspace, *, own_author: bool = False) -> Settings:
        """The settings of the workspace with these options on top. Raises ``InputError``.

        With ``own_author`` the caller's author writes: under the profile of the model that is named, else under
        ``OWN_MODEL``, never under the embedded model's."""
        overrides = Overrides(
            model=self.model, base_url=self.base_url, concurrency=self.concurrency, api_key=self.api_key
        )
        settings = read_settings(
            workspace.settings_path, environment=os.environ, overrides=overrides, trusted=workspace.trusted
        )
        if own_author and settings.embedded and not self.model:
            return replace(self, model=OWN_MODEL).settings(workspace)
        return settings

    def chosen(self, outline: Outline) -> tuple[Section, ...]:
        """The sections of a chapter that are to be drafted. Raises ``InputError``."""
        numbers = {section.number for section in outline.sections}
        if missing := sorted((self.sections or frozenset()) - numbers):
            raise InputError(
                f"chapter {outline.id} has no section {missing[0]}", remedy=f"it has sections 1 to {len(numbers)}"
            )
        wanted = self.sections if self.sections is not None else numbers
        return tuple(section for section in outline.sections if section.number in wanted)


def settings_of(workspace: Workspace, **changes: Any) -> Settings:
    """The settings of the workspace with the arguments on top. Raises ``InputError``."""
    return RunOptions(**changes).settings(workspace)
