"""Decide what to ask the model for next, so that a section reaches its lines: the length loop, pure.

Models deliver a quarter of the lines asked, or four times as many. The ratio is learned from the section's own answers,
so that the same answers always lead to the same next request: a run that was killed goes on where it stopped, and two
runs at once ask for the same.

First every topic is asked for, topics together as far as the model's profile lets one request go. Then what is missing
is asked for where it is missing, topic by topic. It ends on target, when answers stop adding anything, or at a bound of
rounds.

An answer whose connection broke is continued like one that reached its output cap. It says nothing about the model,
though: neither the ratio nor the end of the loop is drawn from it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import InitVar, dataclass, field
from math import ceil, sqrt

from expand.checks.requirements import SHORT
from expand.drafting.section_text import SectionText
from expand.llm.profile import Profile
from expand.llm.types import Purpose

TOLERANCE = 0.03
"""A section that misses no more than this share of its lines, to the nearest line, is on target."""
VANISHING = 0.1
"""An answer that adds less than this share of the lines asked adds nothing."""
LEAST_RATIO, MOST_RATIO = 0.25, 4.0
"""However little an answer brought, the next question asks for at most four times what is wanted: a model that then
obeys must not run over."""
FIRST_SHARE = 0.4
"""The first question of a section takes no more topics than this share of its lines, so that what it teaches about the
model comes in time for the others."""
PROBE_SHARE = 0.65
"""A question that is a section's only one asks for this share at first: what is missing can be asked for, what is too
much cannot be taken back."""
LEAST_LINES = 3
LEAST_MISSING = 4
"""A model that writes whole sections is asked for no fewer lines: a section that misses less would be further from its
target afterwards than it is."""
STRONG_TOLERANCE, STRONG_LEAST_LINES = 1 - SHORT, 2 * LEAST_MISSING
"""The same two for a model that writes whole sections: a continuation of three lines reads as filler."""
HEADING_LINES = 2
"""A topic's heading and the blank line below it."""
FOOTNOTE_LINES = 2
"""The lines that a topic's footnotes are expected to take where it may cite: a blank one and a note."""
LEAST_SHARE = 0.5
"""The part of its own lines that a topic keeps when those before it ran over."""
MOST_LOOPS = 2
"""When so many answers of a section repeated themselves without end, nothing more is asked for."""
MOST_CHARACTERS = 1000
"""A text of more characters than this for each line of its target is long enough, however few lines they are on."""
FINISH_TRIES = 2
RATIO_WINDOW = 4
CHANCE = 0.1
"""How far one section's delivery ratio is off by chance: an author of 0.96 and then 1.16 is true to what is asked."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Ask:
    """One question: for which topics (indices from 0), how many lines, and why.

    ``ordinal`` counts the questions of the same purpose and topics from 0: with the section's key it is the question's
    identity, whatever the exact words and numbers were."""

    purpose: Purpose
    slots: tuple[int, ...]
    lines: int
    ordinal: int
    part: int = 0
    """Which part of the topic this is, from 0: the n-th question that it gets."""
    problems: tuple[str, ...] = ()
    """For a repair: what is wrong with the topic's text."""
    code: str = ""
    """For a repair of code: the blocks that are to be written anew, "" for the whole text."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """The answer to a question: how many lines it brought."""

    ask: Ask
    grown: int


def delivery_ratio(outcomes: Sequence[Outcome]) -> float:
    """Lines delivered for a line asked, learned from the last answers; 1 before any."""
    last = outcomes[-RATIO_WINDOW:]
    asked = sum(outcome.ask.lines for outcome in last)
    grown = sum(outcome.grown for outcome in last)
    return min(MOST_RATIO, max(LEAST_RATIO, grown / asked)) if asked else 1.0


def expected_ratio(outcomes: Sequence[Outcome]) -> float:
    """The delivery ratio that the answers to other sections make one expect: 1 where the difference may be chance, the
    less of which there is the more answers there are, else what they had."""
    ratio = delivery_ratio(outcomes)
    chance = CHANCE / sqrt(max(1, min(len(outcomes), RATIO_WINDOW)))
    return ratio if abs(ratio - 1) > chance else 1.0


def gives_up(section_text: SectionText) -> bool:
    """Whether no further answer would mend the text: two ran into a loop, or it is far too long for its lines."""
    characters = sum(map(len, section_text.bodies))
    return len(section_text.loops) >= MOST_LOOPS or characters > MOST_CHARACTERS * section_text.skeleton.target


@dataclass(eq=False)
class LengthLoop:
    """The questions of one section, as the profile of its model wants them.

    With ``aspects`` a long topic is asked for in parts that each start anew (a small model, one aspect at a time)
    rather than continued. A model that plans before it writes is trusted to write a section at once, at the delivery
    ratio that the run's other sections make one expect; of others the first question is small, to learn it."""

    text: SectionText
    profile: Profile
    first_purpose: Purpose = "draft"
    expected_ratio: InitVar[float] = 1.0
    outcomes: list[Outcome] = field(default_factory=list)
    """What was asked so far, in order."""

    def __post_init__(self, expected_ratio: float) -> None:
        skeleton, slots = self.text.skeleton, self.text.slots
        self._expected = expected_ratio if self.profile.brief else None
        self._most_lines = self.profile.lines_per_request
        self._least = LEAST_LINES if self._expected is None else STRONG_LEAST_LINES
        share = skeleton.target * STRONG_TOLERANCE
        self._tolerated = ceil(skeleton.target * TOLERANCE - 0.5) if self._expected is None else share
        """Lines that the section may miss."""
        self._in_lines = skeleton.measure.unit == "lines"
        self._beside = self._in_lines * (1 + FOOTNOTE_LINES * bool(skeleton.passages))
        """Lines of a topic beside its text: a blank one, and its footnotes."""
        self._whole: list[Outcome] = []
        """Those whose connection held. What a broken one brought says how long it held, not how much the model writes:
        counted, three bad minutes would have the model asked for four times the lines."""
        weights = skeleton.weights or (1,) * len(slots)
        self._weights = [weight / sum(weights) for weight in weights]
        """Each topic's part of its section, from 0 to 1."""
        self._alone: set[int] = set()
        self._empty: set[int] = set()
        self._most_rounds = 4 + 3 * sum(ceil(self._share(slot) / self._most_lines) for slot in slots)

    @property
    def ratio(self) -> float:
        """The delivery ratio of the answers whose connection held, before any that which is expected."""
        return delivery_ratio(self._whole) if self._whole else self._expected or 1.0

    def record(self, ask: Ask, grown: int, *, cut: bool = False) -> None:
        """Note by how many lines an answer made the section grow, and whether its connection broke."""
        if self._expected is not None and self._in_lines:
            # What this section teaches is expected of the others, long or short. So what is not the answer's is taken
            # off: a topic's heading, but where the answer had several.
            headed = sum(bool(self.text.bodies[slot].strip()) for slot in ask.slots if slot in self._empty)
            headings = HEADING_LINES * (len(ask.slots) == 1 and bool(self.text.skeleton.topics))
            grown = max(0, grown - headings * headed)
        self.outcomes.append(Outcome(ask=ask, grown=grown))
        if not cut:
            self._whole.append(self.outcomes[-1])
        if len(ask.slots) > 1:
            # The answer had no heading for these topics, so their share of it cannot be told. Asked in a group again,
            # the model would most likely do the same.
            self._alone.update(s for s in ask.slots if not self.text.bodies[s].strip())

    def next(self) -> Ask | None:
        """The next question; None when the section is done or no question would mend it."""
        self._empty = {slot for slot in self.text.slots if not self.text.bodies[slot].strip()}
        # A bound beside the test for vanishing answers: a model that adds a few lines each time never vanishes, and
        # each round is paid for with the whole prompt.
        if len(self.outcomes) >= self._most_rounds or gives_up(self.text):
            return None
        # A text that breaks off is finished first, even when the section has its lines or answers are vanishing: half a
        # code block spoils the draft, and a short section does not.
        return self._finish() or (None if self._vanishing() else self._first() or self._more())

    def _finish(self) -> Ask | None:
        """Ends a text that breaks off, whatever its length."""
        for slot in self.text.slots:
            if not self.text.cut[slot]:
                continue
            asked = [outcome.ask.purpose for outcome in self._whole if outcome.ask.slots == (slot,)]
            # Only the last ones in a row count. Some models never end a block, and two tries are enough to know.
            if asked[-FINISH_TRIES:] != ["continue"] * FINISH_TRIES:
                want = max(self._missing_of(slot), 2 * LEAST_LINES, self._least)
                return self._ask("continue", (slot,), min(want, self._most_lines))
        return None

    def _vanishing(self) -> bool:
        """Whether the last two answers brought next to nothing."""
        # Two, not one: a single empty answer happens, and the ratio makes the next question a larger one.
        last = self._whole[-2:]
        return len(last) == 2 and all(outcome.grown < max(2, VANISHING * outcome.ask.lines) for outcome in last)

    def _first(self) -> Ask | None:
        """The first question for topics that have none of their text yet."""
        open_slots = [slot for slot in self.text.slots if self._is_open(slot)]
        if not open_slots:
            return None
        quotas = self._quotas(open_slots)
        most: float = self._most_lines
        # Nothing is known of this model yet, so the first question is small. Otherwise the whole section would be asked
        # for at a ratio of 1, and a model that writes twice as much could not be corrected any more.
        unknown = self._expected is None
        if unknown and not self.outcomes:
            most = min(most, FIRST_SHARE * self.text.skeleton.target)
        group: list[int] = []
        want = 0.0
        for slot in open_slots:
            if group and (
                # Neighbours only: an answer for topics 1 and 4 would be told to go on from a text that does not precede
                # both.
                want + quotas[slot] > most or slot != group[-1] + 1 or slot in self._alone or group[0] in self._alone
            ):
                break
            group.append(slot)
            want += quotas[slot]
        if self._expected == 1.0 and self._in_lines:
            # An author that is taken at its word counts its headings with its lines; what was learnt of another has
            # them in it. And what a short section may lack is too little to be asked for.
            want += HEADING_LINES * len(group) if len(group) > 1 else 0
            want *= 1 + STRONG_TOLERANCE if self._tolerated < LEAST_MISSING else 1
        if unknown and len(group) == len(self.text.slots) and not self.profile.aspects:
            # Too short can be continued, too long cannot be shortened without another request that rewrites what is
            # paid for. So the error is made on that side.
            want *= PROBE_SHARE
        return self._ask(self.first_purpose, tuple(group), min(want, self._most_lines))

    def _is_open(self, slot: int) -> bool:
        """Whether a topic has not been asked for, or only together with others and in vain. A section that has its
        lines leaves topics alone that the author's own text treats."""
        if self.text.bodies[slot].strip():
            return False
        skeleton = self.text.skeleton
        if skeleton.placed.get(slot) and not skeleton.revised and not self._missing():
            return False
        asked = [o.ask.slots for o in self.outcomes if slot in o.ask.slots]
        # Once alone, and not again: what a topic gets after that is decided by what is missing, in `_more`.
        return not asked or (slot in self._alone and (slot,) not in asked)

    def _missing(self) -> int:
        """Lines that the section still misses; 0 when it is on target."""
        skeleton = self.text.skeleton
        missing = skeleton.target - self.text.lines
        # Within the tolerance nothing more is asked for. Every further request sends the chapter's outline again, which
        # costs more than the two or three lines that it would bring.
        least = 1 if self._expected is None else LEAST_MISSING
        return missing if missing > self._tolerated and missing >= least else 0

    def _more(self) -> Ask | None:
        """The next question for the topic that misses most."""
        missing = self._missing()
        if not missing:
            return None
        # Where it is missing most, and the first of equals. Asking always the last topic would be simpler; sections
        # would then end in one long topic.
        slot = max(self.text.slots, key=lambda s: (self._missing_of(s), -s))
        want = min(missing, max(self._missing_of(slot), self._least), self._most_lines)
        purpose = self.first_purpose if self.profile.aspects else "continue"
        return self._ask(purpose, (slot,), want)

    def _ask(self, purpose: Purpose, slots: tuple[int, ...], want: float) -> Ask:
        same = sum(o.ask.purpose == purpose and o.ask.slots == slots for o in self.outcomes)
        part = sum(o.ask.slots == slots for o in self.outcomes)
        # The lines to ask for, so that `want` lines come. Rounded half down rather than up, and without `round`, which
        # takes halves to the even number: the boundary would then depend on the figure.
        count = max(self._least, ceil(want / self.ratio - 0.5))
        return Ask(purpose=purpose, slots=slots, lines=count, ordinal=same, part=part)

    def _share(self, slot: int) -> float:
        """Lines of text that a topic should get, headings and blanks taken off."""
        skeleton = self.text.skeleton
        return max(LEAST_LINES, (skeleton.target - self.text.base_lines) * self._weights[slot] - self._beside)

    def _missing_of(self, slot: int) -> int:
        return max(0, round(self._share(slot)) - self.text.body_lines(slot))

    def _quotas(self, open_slots: Sequence[int]) -> dict[int, float]:
        """What each open topic may have: its share, less what others took too much."""
        # What others took too much is taken off those that follow, but never below the least that a topic is owed: of a
        # strong model half of its share, since what is too long is sent back.
        left = self.text.skeleton.target - self.text.lines - self._beside * len(open_slots)
        every = sum(self._weights[slot] for slot in open_slots)
        kept = 0.0 if self._expected is None else LEAST_SHARE
        return {
            slot: max(LEAST_LINES, kept * share, min(share, left * self._weights[slot] / every))
            for slot in open_slots
            for share in (self._share(slot),)
        }
