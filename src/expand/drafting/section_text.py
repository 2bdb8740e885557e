"""A section while it is being written: its headings, the author's own blocks, and what came back.

Headings and numbers are the tool's. Below each topic stand first the blocks of the source document
that belong there, word for word, then what the model wrote. A manuscript only grows: nothing that
was paid for is thrown away but what says the same again, and what an answer adds is measured
without padding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from expand.document.draft import section_heading, topic_heading
from expand.llm.types import Finish
from expand.markdown import assemble, lines
from expand.markdown.blocks import open_fence

TOPIC_LEVEL = 3
TERMINALS = (
    ".",
    "!",
    "?",
    ":",
    ";",
    "。",
    "！",
    "？",
    "：",
    "；",
    "`",
    "|",
    "*",
    ")",
    "）",
    ">",
    "_",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Skeleton:
    """What a section consists of before a model wrote anything.

    ``placed`` are the source's blocks by topic index (from 0), ``intro`` those that belong to the
    section but to no topic. ``target`` is in lines, heading and separating blank included.
    """

    number: int
    title: str
    topics: tuple[str, ...]
    target: int
    intro: tuple[str, ...] = ()
    placed: dict[int, tuple[str, ...]] = field(default_factory=dict)


class SectionText:
    """One section's text in the making. Topic indices count from 0; without topics, 0 is all."""

    def __init__(self, frame: Skeleton) -> None:
        self.frame = frame
        self.slots = range(max(1, len(frame.topics)))
        self.bodies = [""] * len(self.slots)
        self.cut = [False] * len(self.slots)
        self.echoes = 0
        """Lines that were left out because they said the same again."""
        self._lines: int | None = None
        self._base_lines: int | None = None
        self._rendered: tuple[list[str], str] = ([], "")
        """The bodies as they were when the text was last made, and the text."""

    def render(self) -> str:
        """The section as it stands in the draft, without a blank or newline at its end."""
        bodies, text = self._rendered
        if bodies != self.bodies:
            parts = self._parts(upto=len(self.slots) - 1)
            text = "\n\n".join([part.strip("\n") for part in parts])
            self._rendered = ([*self.bodies], text)
        return text

    def _parts(self, *, upto: int) -> list[str]:
        frame = self.frame
        parts = [section_heading(frame.number, frame.title), *frame.intro]
        for slot in range(upto + 1):
            if frame.topics:
                parts.append(topic_heading(frame.number, slot + 1, frame.topics[slot]))
            parts += frame.placed.get(slot, ())
            if self.bodies[slot].strip():
                parts.append(assemble.close(self.bodies[slot]))
        return parts

    @property
    def lines(self) -> int:
        """Markdown lines of the section without padding, its separating blank line included."""
        if self._lines is None:
            self._lines = self._count()
        return self._lines

    @property
    def base_lines(self) -> int:
        """The lines before a model wrote anything."""
        if self._base_lines is None:
            bare = SectionText(self.frame) if any(self.bodies) else self
            self._base_lines = lines.of_section(bare.render())
        return self._base_lines

    def body_lines(self, slot: int) -> int:
        """Lines of one topic that a model wrote, without padding."""
        return lines.effective(self.bodies[slot])

    def add(self, text: str, finish: Finish, slots: Sequence[int]) -> int:
        """Adds an answer that was asked for ``slots``; returns by how many lines the section grew.

        An answer for several topics is taken apart at their headings. Topics that it does not
        head stay empty, for the caller to ask for.
        """
        before = self.lines
        shares = self._by_slot(text, slots)
        last = max((slot for slot, part in shares.items() if part.strip()), default=slots[-1])
        for slot, part in shares.items():
            self._extend(slot, part, cut=finish is Finish.LENGTH and slot == last)
        self._lines = None
        return self.lines - before

    def _extend(self, slot: int, part: str, *, cut: bool) -> None:
        """Adds a part to a topic's text, cleaned and joined, without what it says again."""
        frame = self.frame
        old = self.bodies[slot]
        new = assemble.extend(
            old,
            part,
            own_headings=[frame.title, *frame.topics],
            body_level=TOPIC_LEVEL + 1 if frame.topics else TOPIC_LEVEL,
            cut=cut,
        )
        said = lines.count(new)
        new = assemble.without_duplicate_lines(new)
        if old.strip() and not self.cut[slot] and lines.effective(new) <= lines.effective(old):
            new = old
        self.echoes += max(0, said - lines.count(new))
        if new.strip() and new != old:
            self.bodies[slot] = new
            self.cut[slot] = self._breaks_off(new, cut=cut)

    def tail(self, slot: int, most_lines: int) -> str:
        """The end of a topic's text, from the opening of a code block that it breaks off in."""
        all_lines = self.bodies[slot].rstrip("\n").split("\n")
        return "\n".join(all_lines[-most_lines:])

    def fence(self, slot: int) -> str:
        """The opening line of the code block that a topic's text breaks off in, else ""."""
        return open_fence(self.bodies[slot]) or ""

    def adopt(self, other: SectionText) -> None:
        """Takes over what another manuscript of the same topics holds."""
        self.bodies = [*other.bodies]
        self.cut = [*other.cut]
        self._lines = None

    def slot_at(self, line: int) -> int | None:
        """The topic whose model-written text holds a line of the section, counted from 1."""
        for slot in self.slots:
            first = self._without(slot).count("\n") + 1
            if self.bodies[slot].strip() and first < line <= first + 1 + lines.count(assemble.close(self.bodies[slot])):
                return slot
        return None

    def _without(self, slot: int) -> str:
        """The section up to where a topic's own body begins."""
        kept, self.bodies = self.bodies, self.bodies[:slot] + [""] * (len(self.slots) - slot)
        try:
            parts = self._parts(upto=slot)
        finally:
            self.bodies = kept
        return "\n\n".join(part.strip("\n") for part in parts)

    def replaced(self, slot: int, text: str, finish: Finish) -> SectionText:
        """A copy in which a topic's text is another one."""
        copy = SectionText(self.frame)
        copy.bodies = [*self.bodies]
        copy.cut = [*self.cut]
        copy.echoes = self.echoes
        copy.bodies[slot] = ""
        copy.add(text, finish, (slot,))
        return copy

    def _by_slot(self, text: str, slots: Sequence[int]) -> dict[int, str]:
        if len(slots) == 1:
            return {slots[0]: text}
        titles = [self.frame.topics[slot] for slot in slots]
        lead, found = assemble.split_by_topics(text, titles)
        shares = {slots[index]: part for index, part in found.items()}
        if lead.strip():
            first = slots[0]
            shares[first] = assemble.join(lead, shares[first]) if first in shares else lead
        return dict(sorted(shares.items()))

    def _count(self) -> int:
        return lines.of_section(self.render())

    @staticmethod
    def _breaks_off(body: str, *, cut: bool) -> bool:
        """Whether a text ends in the middle: in a code block, or cut within a sentence."""
        if open_fence(body):
            return True
        return cut and not body.rstrip().endswith(TERMINALS)
