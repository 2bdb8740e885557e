"""A section while it is being written: its headings, the author's own blocks, and what came back.

Headings and numbers are the tool's. Below each topic stand first the blocks of the source document
that belong there, word for word, then what the model wrote. A manuscript only grows: nothing that
was paid for is thrown away, and what an answer adds is measured without padding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from expand import lines, stitch
from expand.completion import Finish
from expand.draft import section_heading, topic_heading
from expand.markdown import open_fence

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
class Frame:
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


class Manuscript:
    """One section's text in the making. Topic indices count from 0; without topics, 0 is all."""

    def __init__(self, frame: Frame) -> None:
        self.frame = frame
        self.slots = range(max(1, len(frame.topics)))
        self.bodies = [""] * len(self.slots)
        self.cut = [False] * len(self.slots)
        self._lines = self._count()
        self.base_lines = self._lines

    def render(self) -> str:
        """The section as it stands in the draft, without a blank or newline at its end."""
        frame = self.frame
        parts = [section_heading(frame.number, frame.title), *frame.intro]
        for slot in self.slots:
            if frame.topics:
                parts.append(topic_heading(frame.number, slot + 1, frame.topics[slot]))
            parts += frame.placed.get(slot, ())
            if self.bodies[slot].strip():
                parts.append(stitch.close(self.bodies[slot]))
        return "\n\n".join(part.strip("\n") for part in parts)

    @property
    def lines(self) -> int:
        """Markdown lines of the section without padding, its separating blank line included."""
        return self._lines

    def body_lines(self, slot: int) -> int:
        """Lines of one topic that a model wrote, without padding."""
        return lines.effective(self.bodies[slot])

    def add(self, text: str, finish: Finish, slots: Sequence[int]) -> int:
        """Adds an answer that was asked for ``slots``; returns by how many lines the section grew.

        An answer for several topics is taken apart at their headings. Topics that it does not
        head stay empty, for the caller to ask for.
        """
        before = self._lines
        shares = self._by_slot(text, finish, slots)
        for slot, part in shares.items():
            if part.strip():
                old = self.bodies[slot]
                self.bodies[slot] = stitch.join(old, part) if old.strip() else part
                self.cut[slot] = False
        last = max((slot for slot, part in shares.items() if part.strip()), default=slots[-1])
        self.cut[last] = self._breaks_off(self.bodies[last], finish)
        self._lines = self._count()
        return self._lines - before

    def tail(self, slot: int, most_lines: int) -> str:
        """The end of a topic's text, from the opening of a code block that it breaks off in."""
        all_lines = self.bodies[slot].rstrip("\n").split("\n")
        return "\n".join(all_lines[-most_lines:])

    def fence(self, slot: int) -> str:
        """The opening line of the code block that a topic's text breaks off in, else ""."""
        return open_fence(self.bodies[slot]) or ""

    def _by_slot(self, text: str, finish: Finish, slots: Sequence[int]) -> dict[int, str]:
        if len(slots) == 1:
            inside = self.fence(slots[0]) or None
            return {slots[0]: self._cleaned(text, finish, inside)}
        titles = [self.frame.topics[slot] for slot in slots]
        lead, found = stitch.split_by_topics(text, titles)
        shares = {slots[index]: part for index, part in found.items()}
        if lead.strip():
            first = slots[0]
            shares[first] = stitch.join(lead, shares[first]) if first in shares else lead
        last = max(shares, default=slots[0])
        return {
            slot: self._cleaned(part, finish if slot == last else Finish.STOP, None)
            for slot, part in sorted(shares.items())
        }

    def _cleaned(self, text: str, finish: Finish, inside: str | None) -> str:
        frame = self.frame
        return stitch.clean(
            text,
            own_headings=[frame.title, *frame.topics],
            body_level=TOPIC_LEVEL + 1 if frame.topics else TOPIC_LEVEL,
            inside=inside,
            cut=finish is Finish.LENGTH,
        )

    def _count(self) -> int:
        return lines.of_section(self.render())

    @staticmethod
    def _breaks_off(body: str, finish: Finish) -> bool:
        """Whether a text ends in the middle: in a code block, or cut within a sentence."""
        if open_fence(body):
            return True
        return finish is Finish.LENGTH and not body.rstrip().endswith(TERMINALS)
