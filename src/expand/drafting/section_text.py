"""A section while it is being written: its headings, the author's own blocks, and what came back.

Headings and numbers are the tool's. Below each topic stand first the blocks of the source document that belong there,
word for word, then what the model wrote. A section's text only grows: nothing that was paid for is thrown away but what
says the same again, and what an answer adds is measured without padding.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass, field
from functools import cached_property
from typing import Self

from expand.document.draft import section_heading, topic_heading
from expand.document.layout import Filled, Part, Placeholder, Slot, fill, opened, says_placeholder
from expand.llm.types import Finish
from expand.markdown import assemble, cuts, lines, repetition, sanitize
from expand.markdown.blocks import open_fence

TOPIC_LEVEL = 3
TERMINALS = tuple(".!?:;。！？：；`|*)）>_")
"""What a text may end in that reached its output cap and is whole all the same."""


@dataclass(frozen=True, kw_only=True)
class Skeleton:
    """What a section consists of before a model wrote anything.

    ``placed`` are the source's blocks by topic index (from 0), ``intro`` those that belong to the section but to no
    topic. ``target`` is in lines, heading and separating blank included. ``kept`` are the parts of a section of a
    document that keeps its own form, empty where the tool sets the headings; ``body_level`` is the highest level of a
    heading in the model's text. By the chapter's brief, ``opening`` are the section's first sentences, and ``weights``
    the lines that it gives each topic, which say how they share the section; "" and () where it says nothing.
    """

    number: int
    title: str
    topics: tuple[str, ...]
    target: int
    intro: tuple[str, ...] = ()
    placed: dict[int, tuple[str, ...]] = field(default_factory=dict)
    kept: tuple[Part, ...] = ()
    newline: str = "\n"
    body_level: int = TOPIC_LEVEL
    opening: str = ""
    weights: tuple[int, ...] = ()

    @cached_property
    def parts(self) -> tuple[Part, ...]:
        """The section as the author's text and the places for the model's."""
        if self.kept:
            return self.kept
        parts: list[Part] = []
        texts = [self.heading, *self.intro]
        for slot in range(max(1, len(self.topics))):
            for text in (*texts, *self.topic_headings[slot : slot + 1], *self.placed.get(slot, ())):
                whole = text.strip("\n") + "\n\n"
                parts.append(Placeholder(slot, whole) if says_placeholder(text) else whole)
            parts.append(Slot(slot))
            texts = []
        return opened(parts, "" if self.intro else self.opening)

    @cached_property
    def heading(self) -> str:
        """The section's heading."""
        return section_heading(self.number, self.title)

    @cached_property
    def topic_headings(self) -> tuple[str, ...]:
        """The headings of its topics."""
        return tuple(topic_heading(self.number, topic, title) for topic, title in enumerate(self.topics, 1))


def imagined_line(number: int) -> str:
    """A line in the place of one that a model would write, for what is worked out ahead. Its number is squared: lines
    that count up would be taken for a loop.
    """
    return f"Line {number**2} stands for one of the lines that the model would write here."


class SectionText:
    """One section's text in the making. Topic indices count from 0; without topics, 0 is all."""

    def __init__(self, skeleton: Skeleton) -> None:
        self.skeleton = skeleton
        self.slots = range(max(1, len(skeleton.topics)))
        self.bodies = [""] * len(self.slots)
        self.cut = [False] * len(self.slots)
        self.duplicate_lines = 0
        """Lines that were left out because they said the same again."""
        self.removed: Counter[str] = Counter()
        """Characters that were taken off the answers, by what they were: see ``sanitize.bare``."""
        self.loops: list[int] = []
        """The lines of the section, from 1, at which answers ran into a loop, which was cut off."""
        self._lines: int | None = None

    def render(self) -> str:
        """The section as it stands in the draft."""
        text = self._filled().text
        return text if self.skeleton.kept else text.strip("\n")

    def _filled(self) -> Filled:
        bodies = [assemble.close(body) if body.strip() else "" for body in self.bodies]
        return fill(self.skeleton.parts, bodies, self.skeleton.newline)

    @property
    def lines(self) -> int:
        """Markdown lines of the section without padding, its separating blank line included."""
        if self._lines is None:
            self._lines = lines.of_section(self.render())
        return self._lines

    @cached_property
    def base_lines(self) -> int:
        """The lines before a model wrote anything."""
        bare = fill(self.skeleton.parts, [""] * len(self.slots), self.skeleton.newline, headings=True)
        return lines.of_section(bare.text.strip("\n"))

    def body_lines(self, slot: int) -> int:
        """Lines of one topic that a model wrote, without padding."""
        return lines.effective(self.bodies[slot])

    def add(self, text: str, finish: Finish, slots: Sequence[int]) -> int:
        """Adds an answer that was asked for ``slots``; returns by how many lines the section grew.

        An answer for several topics is taken apart at their headings. Topics that it does not head stay empty, for the
        caller to ask for. Loops are cut off: they would lead the model on into the next one.
        """
        before = self.lines
        text, removed = sanitize.bare(text, inside=self.fence(slots[0]) or None)
        for piece in removed:
            if size := len(piece.text.strip()) if piece.what != "forbidden characters" else len(piece.text):
                self.removed[piece.what] += size
        loops = repetition.loops(text)
        ends_in_loop = bool(loops) and loops[-1].end == len(text)
        whole, text = text, repetition.without(text, loops)
        self.duplicate_lines += lines.count(whole) - lines.count(text)
        shares = self._by_slot(text, slots)
        last = max((slot for slot, part in shares.items() if part.strip()), default=slots[-1])
        broken_off = ends_in_loop or finish in (Finish.LENGTH, Finish.CUT)
        for slot, part in shares.items():
            self._extend(slot, part, cut=broken_off and slot == last)
        self._lines = None
        if loops:
            self.loops.append(self._last_line(last))
        return self.lines - before

    def _extend(self, slot: int, part: str, *, cut: bool) -> None:
        """Adds a part to a topic's text, cleaned and joined, without what it says again."""
        skeleton = self.skeleton
        old = self.bodies[slot]
        new = assemble.extend(
            old,
            part,
            own_headings=[skeleton.title, *skeleton.topics],
            body_level=skeleton.body_level + 1 if skeleton.topics else skeleton.body_level,
            cut=cut,
        )
        # A provider may report `stop` for text that was cut. The end then stays as it is, to be gone on from.
        if not cut and cuts.ends_in_the_middle(new):
            new = new.rstrip() if open_fence(new) is None else new
            cut = True
        with_duplicates = lines.count(new)
        new = assemble.without_duplicate_lines(new)
        # It added nothing but padding. The old text stays, so that blank lines do not pile up with each request.
        if old.strip() and not self.cut[slot] and lines.effective(new) <= lines.effective(old):
            new = old
        self.duplicate_lines += max(0, with_duplicates - lines.count(new))
        if new.strip() and new != old:
            self.bodies[slot] = new
            # A cap may be reached right at the end of a sentence; asking on would bring a chatty epilogue. An open
            # fence is always a cut, whatever the provider said.
            self.cut[slot] = bool(open_fence(new)) or (
                cut and (not new.rstrip().endswith(TERMINALS) or cuts.ends_in_the_middle(new))
            )

    def tail(self, slot: int, most_lines: int) -> str:
        """The last lines of a topic's text."""
        all_lines = self.bodies[slot].rstrip("\n").split("\n")
        return "\n".join(all_lines[-most_lines:])

    def fence(self, slot: int) -> str:
        """The opening line of the code block that a topic's text breaks off in, else ""."""
        return open_fence(self.bodies[slot]) or ""

    def adopt(self, other: SectionText) -> None:
        """Takes over what another text of the same topics holds."""
        self.bodies = [*other.bodies]
        self.cut = [*other.cut]
        self.removed = Counter(other.removed)
        self.loops = [*other.loops]
        self._lines = None

    def spans(self) -> dict[int, range]:
        """The lines of the section, from 1, that each topic's model-written text stands on."""
        return {slot: range(start + 1, end + 1) for slot, (start, end) in self._filled().lines.items()}

    def _last_line(self, slot: int) -> int:
        """The line of the section at which a topic's text ends, counted from 1; 1 without text."""
        return self._filled().lines.get(slot, (0, 1))[1]

    def copy(self) -> Self:
        """The same text, which grows on its own."""
        copied = copy(self)
        copied.bodies, copied.cut, copied.loops = [*self.bodies], [*self.cut], [*self.loops]
        copied.removed = Counter(self.removed)
        return copied

    def replaced(self, slots: Sequence[int], text: str, finish: Finish) -> Self:
        """A copy in which the text of some topics is another one."""
        copied = self.copy()
        for slot in slots:
            copied.bodies[slot], copied.cut[slot] = "", False
        copied.add(text, finish, slots)
        return copied

    def _by_slot(self, text: str, slots: Sequence[int]) -> dict[int, str]:
        if len(slots) == 1:
            return {slots[0]: text}
        titles = [self.skeleton.topics[slot] for slot in slots]
        lead, found = assemble.split_by_topics(text, titles)
        shares = {slots[index]: part for index, part in found.items()}
        if lead.strip():
            first = slots[0]
            shares[first] = assemble.join(lead, shares[first]) if first in shares else lead
        return dict(sorted(shares.items()))
