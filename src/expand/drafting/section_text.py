"""A section while it is being written: its headings, the author's own blocks, and what came back.

Headings and numbers are the tool's. Below each topic stand first the blocks of the source document that belong there,
word for word, then what the model wrote. A section's text only grows: nothing that was paid for is thrown away but a
loop and lines that a further answer begins with again, and what an answer adds is measured without padding.

An answer that was cut and those that go on from it are one answer: they are joined as they came, and the whole is
cleaned and taken apart as an answer that was never cut would have been.
"""

from __future__ import annotations

import re
import textwrap
from collections import Counter
from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field, replace
from functools import cached_property
from types import MappingProxyType
from typing import Self

from expand.document.layout import Added, Filled, Part, Placeholder, fill, giving_way, opened
from expand.document.numbered import numbered_parts
from expand.document.page import Page
from expand.llm.types import Finish
from expand.markdown import assemble, lines, names, repetition, sanitize
from expand.markdown.blocks import blocks, fences, open_fence, rows
from expand.references.citations import with_footnotes
from expand.references.passages import Passage

TERMINALS = tuple(".!?:;。！？：；`|*)）>_")
"""What a text may end in that reached its output cap and is whole all the same."""


@dataclass(frozen=True, kw_only=True)
class Skeleton:
    """What a section consists of before a model wrote anything.

    ``placed`` are the source's blocks by topic index (from 0), ``intro`` those that belong to the section but to no
    topic. ``target`` is in lines, heading and separating blank included; ``measure`` is how they are counted.
    ``kept`` are the parts of a section of a document that keeps its own form, empty where the tool sets the headings.
    By the chapter's brief, ``opening`` are the section's first sentences, and ``weights`` the lines that it gives each
    topic, which say how they share the section; "" and () where it says nothing. ``names`` are the link references and
    footnotes that the author's document defines, with what they stand for. Where the section is ``revised``, the
    author's text on a topic gives way to the model's. ``passages`` are what it may cite, by the names that the model
    knows them under: the section has footnotes in their place."""

    number: int
    title: str
    topics: tuple[str, ...]
    target: int
    measure: lines.Measure = lines.LINES
    intro: tuple[str, ...] = ()
    placed: dict[int, tuple[str, ...]] = field(default_factory=dict)
    kept: tuple[Part, ...] = ()
    passages: Mapping[str, Passage] = field(default_factory=dict)
    newline: str = "\n"
    opening: str = ""
    weights: tuple[int, ...] = ()
    names: Mapping[str, str] = field(default_factory=dict)
    revised: bool = False

    @property
    def goal(self) -> int:
        """What the section is to have of what its outline counts."""
        return self.measure.stated(self.target)

    def material(self, *slots: int) -> list[str]:
        """The author's own texts on some topics; without topics all that the section has."""
        return [text for slot in slots for text in self.placed.get(slot, () if self.topics else self.intro)]

    @property
    def lead(self) -> str:
        """What stands above the section's topics: the author's own text, else the opening."""
        if not self.intro:
            return self.opening
        return "\n\n".join(text.strip("\n") for text in self.intro) if self.topics else ""

    @property
    def revised_texts(self) -> tuple[str, ...]:
        """The author's texts that give way to the model's."""
        own = self.placed.values() if self.topics else (self.intro,)
        return tuple(text for texts in own for text in texts) if self.revised else ()

    @cached_property
    def parts(self) -> tuple[Part, ...]:
        """The section as the author's text and the places for the model's."""
        own = giving_way(self.kept) if self.revised else self.kept
        own = own or tuple(
            numbered_parts(self.number, self.title, self.topics, self.intro, self.placed, revised=self.revised)
        )
        return opened(own, self.opening.replace("\n", self.newline))

    @cached_property
    def body_level(self) -> int:
        """The highest level of a heading in the model's text."""
        first = self.parts[0]
        headings = Page(first.text if isinstance(first, Added) else str(first)).headings
        return headings[0].level + 1 if headings else 3

    def opened(self, opening: str | None) -> Skeleton:
        """The same with the first sentences that the draft has, in the place of the brief's; None leaves these."""
        return self if opening is None or opening == self.opening else replace(self, opening=opening)


@dataclass(frozen=True, kw_only=True, slots=True)
class _CutAnswer:
    """An answer that was cut: its text as it came, and the section before it; ``slot`` is the topic it ends in."""

    text: str
    slot: int
    slots: tuple[int, ...]
    bodies: tuple[str, ...]
    cut: tuple[bool, ...]


def imagined_line(number: int) -> str:
    """A line in the place of one that a model would write, for what is worked out ahead. Its number is squared: lines
    that count up would be taken for a loop."""
    return f"Line {number**2} stands for one of the lines that the model would write here."


class SectionText:
    """One section's text in the making. Topic indices count from 0; without topics, 0 is all."""

    def __init__(self, skeleton: Skeleton, bodies: Mapping[int, str] = MappingProxyType({})) -> None:
        """``bodies`` is what there is of the topics' text already."""
        self.skeleton = skeleton
        self.slots = range(max(1, len(skeleton.topics)))
        self.bodies = [bodies.get(slot, "") for slot in self.slots]
        self.cut = [False] * len(self.slots)
        self.doubts: list[tuple[str, str]] = []
        """Where nobody can tell how a continuation belongs to the text that was cut: the ends of both."""
        self.removed: Counter[str] = Counter()
        """Characters that were taken off the answers, by what they were: see ``sanitize.bare``."""
        self.loops: list[int] = []
        """The lines of the section, from 1, at which answers ran into a loop, which was cut off."""
        self._cut_answer: _CutAnswer | None = None

    def render(self) -> str:
        """The section as it stands in the draft."""
        text = self._filled().text
        return text if self.skeleton.kept else text.strip("\r\n")

    def _filled(self) -> Filled:
        bodies = [assemble.close(body) if body.strip() else "" for body in self.bodies]
        bodies = with_footnotes(bodies, self.skeleton.passages)
        return fill(self.skeleton.parts, bodies, self.skeleton.newline)

    @property
    def lines(self) -> int:
        """Markdown lines of the section without padding, its separating blank line included."""
        return self.skeleton.measure.of_section(self.render())

    @cached_property
    def bare(self) -> str:
        """The section before a model wrote anything, with the headings of all topics."""
        parts = [part for part in self.skeleton.parts if not isinstance(part, Placeholder)]
        return fill(parts, [""] * len(self.slots), self.skeleton.newline, headings=True).text.strip("\n")

    @cached_property
    def base_lines(self) -> int:
        """The lines before a model wrote anything."""
        return self.skeleton.measure.of_section(self.bare)

    def body_lines(self, slot: int) -> int:
        """Lines of one topic that a model wrote, without padding."""
        return self.skeleton.measure.effective(self.bodies[slot])

    def add(self, text: str, finish: Finish, slots: Sequence[int]) -> int:
        """Adds an answer that was asked for ``slots``; returns by how many lines the section grew.

        An answer for several topics is taken apart at their headings. Topics that it does not head stay empty, for the
        caller to ask for. Loops are cut off: they would lead the model on into the next one."""
        before, was = self.lines, self.copy()
        text, removed = sanitize.bare(text, inside=self.fence(slots[0]))
        for piece in removed:
            self.removed[piece.what] += len(piece.text)
        first = self._cut_answer
        if first is not None and (first.slot,) == tuple(slots):
            joined = assemble.resume(first.text, text)
            text, slots = joined.text, first.slots
            self.bodies, self.cut = [*first.bodies], [*first.cut]
            if any(joined.doubt):
                self.doubts.append(joined.doubt)
        loops = repetition.loops(text)
        ends_in_loop = bool(loops) and loops[-1].end == len(text)
        text = repetition.without(text, loops)
        if len(slots) > 1:  # before it is taken apart: what it uses in one topic it may define below another
            text = names.apart(text, self._names())
        bodies, cut = tuple(self.bodies), tuple(self.cut)
        shares = self._by_slot(text, slots)
        last = max((slot for slot, part in shares.items() if part.strip()), default=slots[-1])
        broken_off = ends_in_loop or finish in (Finish.LENGTH, Finish.CUT)
        for slot, part in shares.items():
            self._extend(slot, part, cut=broken_off and slot == last)
        if not loops and [body.strip() for body in self.bodies] == [body.strip() for body in was.bodies]:
            # It brought nothing: what was cut still is. An end of a line belongs to it.
            self.bodies, self.cut = was.bodies, was.cut
            if first is not None and text.rstrip() == first.text.rstrip():
                self._cut_answer = replace(first, text=text)
        elif broken_off or self.cut[last]:
            self._cut_answer = _CutAnswer(text=text, slot=last, slots=tuple(slots), bodies=bodies, cut=cut)
        else:
            self._cut_answer = None
        if loops:
            self.loops.append(self._filled().lines.get(last, (0, 1))[1])
        return self.lines - before

    def _extend(self, slot: int, part: str, *, cut: bool) -> None:
        """Adds a part to a topic's text, cleaned, and without the lines of that text that it begins with again."""
        skeleton = self.skeleton
        old = self.bodies[slot]
        part = sanitize.clean(
            part,
            own_headings=[skeleton.title, *skeleton.topics],
            body_level=skeleton.body_level + 1 if skeleton.topics else skeleton.body_level,
            cut=cut,
        )
        new = assemble.append(assemble.close(old), part)
        # A provider may report `stop` for text that was cut. The end then stays as it is, to be gone on from.
        if not cut and assemble.ends_in_the_middle(new):
            new = new.rstrip() if open_fence(new) is None else new
            cut = True
        # It added nothing but padding. The old text stays, so that blank lines do not pile up with each request.
        if old.strip() and lines.effective(new) <= lines.effective(old):
            new = old
        if new.strip() and new != old:
            # Only now: a continuation may say a definition again, and defines what the text before it uses.
            new = names.apart(new, self._names(slot))
            self.bodies[slot] = new
            # A cap may be reached right at the end of a sentence; asking on would bring a chatty epilogue. An open
            # fence is always a cut, whatever the provider said.
            self.cut[slot] = bool(open_fence(new)) or (
                cut and (not new.rstrip().endswith(TERMINALS) or assemble.ends_in_the_middle(new))
            )

    def _names(self, but: int | None = None) -> dict[str, str]:
        """What the author and the answers define, less those on one topic."""
        others = [body for slot, body in enumerate(self.bodies) if slot != but]
        return {d.name: d.content for body in others for d in names.definitions(body)} | dict(self.skeleton.names)

    def tail(self, slot: int, most_lines: int) -> str:
        """The last lines of a topic's text, from the beginning of a block where one begins in them; of one that was
        cut, as they came. Of code and tables that begin above, the head stands in front."""
        text = self._end(slot).rstrip("\n")
        every = rows(text)
        start = max(0, len(every) - most_lines)
        block = next((block for block in blocks(text) if block.end > start), None)
        if block is None or block.start >= start:
            return "".join(every[start:]).lstrip("\n")
        head = {"fence": 1, "table": 2}.get(block.kind, 0)
        if not head and block.end < len(every):
            return "".join(every[block.end :]).lstrip("\n")
        return "".join([*every[block.start : min(block.start + head, start)], *every[start:]])

    def fence(self, slot: int) -> str:
        """The opening line of the code block that a topic's text breaks off in, else ""."""
        return open_fence(self._end(slot)) or ""

    def _end(self, slot: int) -> str:
        cut = self._cut_answer
        return cut.text if cut is not None and cut.slot == slot else self.bodies[slot]

    def spans(self) -> dict[int, range]:
        """The lines of the section, from 1, that each topic's model-written text stands on."""
        return {slot: range(start + 1, end + 1) for slot, (start, end) in self._filled().lines.items()}

    def copy(self) -> Self:
        """The same text, which grows on its own."""
        copied = copy(self)
        copied.bodies, copied.cut, copied.loops = [*self.bodies], [*self.cut], [*self.loops]
        copied.removed, copied.doubts = Counter(self.removed), [*self.doubts]
        return copied

    def replaced(self, slots: Sequence[int], text: str, finish: Finish) -> Self:
        """A copy in which the text of some topics is another one."""
        copied = self.copy()
        for slot in slots:
            copied.bodies[slot], copied.cut[slot] = "", False
        copied._cut_answer = None
        copied.add(text, finish, slots)
        wanted = names.lacking(copied.bodies, self.skeleton.names)  # what another topic leant on stays defined
        for slot in slots:
            copied.bodies[slot] = names.completed(copied.bodies[slot], wanted, [self.bodies[slot]])
        return copied

    def with_code(self, slot: int, number: int, code: str) -> Self:
        """A copy in which one of a topic's fences, by number from 0, holds other code."""
        copied = self.copy()
        lines, fence = rows(self.bodies[slot]), fences(self.bodies[slot])[number]
        margin = re.match(r"[ \t>]*", lines[fence.start])
        lines[fence.start + 1 : fence.end - fence.closed] = [textwrap.indent(code, margin[0] if margin else "")]
        copied.bodies[slot] = "".join(lines)
        return copied

    def _by_slot(self, text: str, slots: Sequence[int]) -> dict[int, str]:
        if len(slots) == 1:
            return {slots[0]: text}
        titles = [self.skeleton.topics[slot] for slot in slots]
        lead, found = assemble.split_by_topics(text, titles)
        shares = {slots[index]: part for index, part in found.items()}
        if lead.strip():
            first = slots[0]
            shares[first] = assemble.append(lead, shares[first]) if first in shares else lead
        return dict(sorted(shares.items()))
