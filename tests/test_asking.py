"""The length loop by itself: what it asks for next, against models that deliver too little, too
much, nothing, or break off.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from workspaces import profile

from expand.drafting.length_loop import Ask, LengthLoop
from expand.drafting.section_text import SectionText, Skeleton
from expand.llm.types import Finish
from expand.markdown.lines import length_score

Model = Callable[[Ask, SectionText], tuple[str, Finish]]
NUMBERS = itertools.count()


def section_text(target: int, topics: int, placed: dict[int, tuple[str, ...]] | None = None) -> SectionText:
    return SectionText(
        Skeleton(
            number=1,
            title="Title",
            topics=tuple(f"Topic {chr(65 + n)}{n}" for n in range(topics)),
            target=target,
            placed=placed or {},
        )
    )


def sentences(count: int) -> str:
    # Squares: sentences whose number is counted up would be a loop.
    return "".join(f"Sentence {next(NUMBERS) ** 2} says a thing that no other one says.\n" for _ in range(count))


def delivering(ratio: float) -> Model:
    """A model that delivers so much of the lines asked, its topics' headings in front."""

    def write(ask: Ask, section: SectionText) -> tuple[str, Finish]:
        count = max(1, round(ask.lines * ratio))
        parts = []
        for place, slot in enumerate(ask.slots):
            share = count // len(ask.slots) + (place < count % len(ask.slots))
            if len(ask.slots) > 1:
                parts.append(f"### {section.skeleton.topics[slot]}\n\n")
            parts.append(sentences(share))
        return "".join(parts), Finish.STOP

    return write


def worked(section: SectionText, model: Model, *, per_request: int = 120, fresh: bool = False) -> LengthLoop:
    loop = LengthLoop(section, profile(per_request, aspects={"en": ("use",)} if fresh else {}))
    for _ in range(500):
        ask = loop.next()
        if ask is None:
            return loop
        text, finish = model(ask, section)
        loop.record(ask, section.add(text, finish, ask.slots))
    raise AssertionError("the loop does not end")


def purposes(loop: LengthLoop) -> list[str]:
    return [outcome.ask.purpose for outcome in loop.outcomes]


def asked(loop: LengthLoop) -> list[int]:
    return [outcome.ask.lines for outcome in loop.outcomes]


@settings(deadline=None, max_examples=25)
@given(
    st.floats(0.2, 1.6),
    st.integers(50, 300),
    st.integers(0, 6),
    st.integers(30, 200),
    st.booleans(),
)
def test_it_reaches_the_target_from_below_and_ends(
    ratio: float, target: int, topics: int, per_request: int, fresh: bool
) -> None:
    section = section_text(target, topics)
    loop = worked(section, delivering(ratio), per_request=per_request, fresh=fresh)

    score = length_score([(target, section.lines)])
    assert score >= 75, (section.lines, asked(loop))
    if 0.25 <= ratio <= 1:
        assert section.lines >= 0.94 * target, asked(loop)
    assert all(outcome.ask.lines >= 3 for outcome in loop.outcomes)
    assert loop.next() is None


@pytest.mark.parametrize("ratio", [0.25, 0.45, 0.8, 1.0])
@pytest.mark.parametrize(("target", "topics"), [(150, 3), (250, 5), (100, 2), (50, 1), (25, 0)])
def test_every_shape_of_section_is_within_five_percent(ratio: float, target: int, topics: int) -> None:
    section = section_text(target, topics)
    worked(section, delivering(ratio))
    assert abs(section.lines - target) <= max(1.25, 0.05 * target)


def test_a_model_that_delivers_what_is_asked_is_asked_little() -> None:
    loop = worked(section_text(150, 3), delivering(1))
    assert purposes(loop).count("draft") <= 3
    assert len(loop.outcomes) <= 4
    assert loop.ratio == pytest.approx(1, abs=0.1)


def test_the_ratio_is_learnt_and_used_for_the_next_question() -> None:
    section = section_text(200, 4)
    loop = LengthLoop(section, profile(200))
    assert loop.ratio == 1
    first = loop.next()
    assert first is not None
    loop.record(first, first.lines // 2)
    assert loop.ratio == pytest.approx(0.5, abs=0.02)
    second = loop.next()
    assert second is not None
    wanted = first.lines / len(first.slots)
    assert second.lines == pytest.approx(2 * wanted * len(second.slots), rel=0.2)
    loop.record(second, 100 * second.lines)
    assert loop.ratio == 4, "bounded above"
    poor = LengthLoop(section, profile(200))
    poor.record(first, 0)
    assert poor.ratio == 0.25, "bounded below"


def test_a_model_that_obeys_after_a_poor_answer_does_not_run_over_much() -> None:
    section = section_text(250, 5)
    turns = itertools.count()

    def late(ask: Ask, section: SectionText) -> tuple[str, Finish]:
        if next(turns) == 0:
            return sentences(1), Finish.STOP
        return delivering(1)(ask, section)

    worked(section, late)
    assert section.lines <= 1.2 * 250, section.lines


def test_the_first_question_takes_a_part_of_the_section_only() -> None:
    loop = LengthLoop(section_text(200, 5), profile(500))
    first = loop.next()
    assert first is not None
    assert first.slots == (0, 1)
    assert first.lines <= 80
    loop.record(first, loop.text.add(*delivering(1)(first, loop.text), first.slots))
    second = loop.next()
    assert second is not None
    assert second.slots == (2, 3, 4)


def test_a_small_model_is_asked_for_one_part_at_a_time() -> None:
    section = section_text(60, 2)
    loop = worked(section, delivering(1), per_request=10, fresh=True)
    assert set(purposes(loop)) == {"draft"}
    assert all(len(outcome.ask.slots) == 1 for outcome in loop.outcomes)
    of_first = [outcome.ask for outcome in loop.outcomes if outcome.ask.slots == (0,)]
    assert [ask.part for ask in of_first] == list(range(len(of_first)))
    assert [ask.ordinal for ask in of_first] == list(range(len(of_first)))
    assert max(asked(loop)) <= 11


def test_what_is_missing_is_spread_over_the_topics_that_miss_it() -> None:
    section = section_text(200, 4)
    worked(section, delivering(0.4))
    bodies = [section.body_lines(slot) for slot in section.slots]
    assert max(bodies) - min(bodies) <= 20, bodies


def test_a_topic_that_a_joint_answer_left_out_is_asked_for_alone() -> None:
    section = section_text(100, 2)

    def forgetful(ask: Ask, section: SectionText) -> tuple[str, Finish]:
        if len(ask.slots) > 1:
            return f"### {section.skeleton.topics[ask.slots[0]]}\n\n{sentences(20)}", Finish.STOP
        return sentences(ask.lines), Finish.STOP

    loop = LengthLoop(section, profile(300))
    joint = Ask(purpose="draft", slots=(0, 1), lines=40, ordinal=0)
    loop.record(joint, section.add(*forgetful(joint, section), joint.slots))
    alone = loop.next()
    assert alone is not None
    assert (alone.purpose, alone.slots) == ("draft", (1,))
    loop.record(alone, section.add(*forgetful(alone, section), alone.slots))
    after = loop.next()
    assert after is None or after.slots != (1,) or after.purpose == "continue"


def test_topics_that_were_left_out_are_not_asked_for_together_again() -> None:
    section = section_text(300, 4)
    loop = LengthLoop(section, profile(300))
    joint = Ask(purpose="draft", slots=(0, 1, 2), lines=40, ordinal=0)
    loop.record(joint, section.add(sentences(20), Finish.STOP, joint.slots))
    assert section.bodies[1] == section.bodies[2] == ""
    alone = loop.next()
    assert alone is not None
    assert alone.slots == (1,)


def test_a_topic_that_the_authors_text_treats_is_left_when_the_lines_are_there() -> None:
    own = "\n".join(f"The author's own line {n} of text." for n in range(30))
    section = section_text(36, 2, placed={0: (own,)})
    loop = worked(section, delivering(1))
    assert {outcome.ask.slots for outcome in loop.outcomes} == {(1,)}

    short = section_text(200, 2, placed={0: (own,)})
    loop = worked(short, delivering(1))
    assert {slot for outcome in loop.outcomes for slot in outcome.ask.slots} == {0, 1}


def test_a_section_that_the_author_has_written_needs_no_question() -> None:
    own = "\n".join(f"The author's own line {n} of text." for n in range(60))
    full = section_text(40, 1, placed={0: (own,)})
    assert LengthLoop(full, profile(100)).next() is None


def test_a_text_that_breaks_off_is_ended_before_anything_else() -> None:
    section = section_text(60, 2)

    def cut_once(ask: Ask, section: SectionText) -> tuple[str, Finish]:
        if ask.purpose == "draft" and ask.slots[0] == 0:
            return sentences(5) + "```rust\nfn open() {\n", Finish.LENGTH
        if section.fence(ask.slots[0]):
            return "    body();\n}\n```\n", Finish.STOP
        return sentences(ask.lines), Finish.STOP

    loop = worked(section, cut_once)
    first, second = loop.outcomes[:2]
    assert (first.ask.purpose, second.ask.purpose) == ("draft", "continue")
    assert second.ask.slots == (first.ask.slots[0],)
    assert second.ask.lines >= 6
    assert not any(section.cut)


def test_a_joint_answer_that_breaks_off_is_ended_in_its_last_topic() -> None:
    section = section_text(90, 2)
    loop = LengthLoop(section, profile(300))
    joint = Ask(purpose="draft", slots=(0, 1), lines=40, ordinal=0)
    one, other = section.skeleton.topics
    text = f"### {one}\n\n{sentences(9)}\n### {other}\n\n{sentences(9)}and this one is cut in the"
    for tries in range(3):
        ask = joint if not tries else loop.next()
        assert ask is not None
        if tries:
            assert (ask.purpose, ask.slots, ask.ordinal) == ("continue", (1,), tries - 1)
        loop.record(ask, section.add(text, Finish.LENGTH, ask.slots))
        text = sentences(9) + "this is cut as well in the"
    after = loop.next()
    assert after is not None
    assert after.slots == (0,), "two tries are enough"


def test_a_text_that_always_breaks_off_is_not_followed_for_ever() -> None:
    def always_cut(ask: Ask, section: SectionText) -> tuple[str, Finish]:
        return sentences(2) + "and then it was cut in the", Finish.LENGTH

    loop = worked(section_text(100, 3), always_cut)
    assert len(loop.outcomes) <= 30


@pytest.mark.parametrize("answer", ["", "The very same sentence, every time it is asked.\n"])
def test_it_ends_when_answers_add_nothing(answer: str) -> None:
    loop = worked(section_text(200, 4), lambda *_: (answer, Finish.STOP))
    assert len(loop.outcomes) <= 4


def test_one_poor_answer_does_not_end_it() -> None:
    section = section_text(100, 3)
    turns = itertools.count()

    def moody(ask: Ask, section: SectionText) -> tuple[str, Finish]:
        return (sentences(1 if next(turns) == 0 else ask.lines // 2)), Finish.STOP

    worked(section, moody)
    assert section.lines >= 95


def test_it_ends_at_a_bound_of_rounds() -> None:
    section = section_text(200, 2)
    turns = itertools.count()

    def stingy(ask: Ask, section: SectionText) -> tuple[str, Finish]:
        return ("" if next(turns) % 2 else sentences(4)), Finish.STOP

    loop = worked(section, stingy, per_request=10)
    assert section.lines < 190
    assert len(loop.outcomes) == 4 + 3 * 10 * 2


def test_the_same_answers_lead_to_the_same_questions() -> None:
    one, other = (section_text(120, 3) for _ in range(2))
    said: list[str] = []

    def remembered(ask: Ask, section: SectionText) -> tuple[str, Finish]:
        said.append(sentences(ask.lines // 2))
        return said[-1], Finish.STOP

    replay = iter(said)
    first = worked(one, remembered)
    second = worked(other, lambda *_: (next(replay), Finish.STOP))
    assert first.outcomes == second.outcomes
    assert one.render() == other.render()


def test_each_question_is_another() -> None:
    loop = worked(section_text(300, 4), delivering(0.3))
    identities = [(o.ask.purpose, o.ask.slots, o.ask.ordinal) for o in loop.outcomes]
    assert len(set(identities)) == len(identities)


def test_a_revision_asks_for_revised_text_first() -> None:
    section = section_text(60, 2)
    loop = LengthLoop(section, profile(200), first_purpose="revise")
    first = loop.next()
    assert first is not None
    assert first.purpose == "revise"


# --- thresholds, on both sides -----------------------------------------------------------------


def written(lines: int, *, target: int = 200, topics: int = 1) -> tuple[SectionText, LengthLoop]:
    """A section that has so many lines in all, and its loop after one answer that brought what was asked."""
    section = section_text(target, topics)
    loop = LengthLoop(section, profile(500))
    section.add(sentences(lines - section.lines - 1), Finish.STOP, (0,))
    assert section.lines == lines
    loop.record(Ask(purpose="draft", slots=tuple(section.slots), lines=50, ordinal=0), 50)
    return section, loop


@pytest.mark.parametrize(("target", "least"), [(200, 194), (50, 49), (10, 10), (17, 16)])
def test_a_section_may_miss_three_percent_to_the_nearest_line(target: int, least: int) -> None:
    assert written(least, target=target)[1].next() is None
    again = written(least - 1, target=target)[1].next()
    assert again is not None
    assert (again.purpose, again.lines) == ("continue", max(3, target - least + 1))


@pytest.mark.parametrize(
    ("asked_lines", "grown", "goes_on"), [(40, 4, True), (40, 3, False), (3, 2, True), (3, 1, False)]
)
def test_two_answers_that_bring_less_than_a_tenth_or_two_lines_end_it(
    asked_lines: int, grown: int, goes_on: bool
) -> None:
    loop = LengthLoop(section_text(200, 1), profile(500))
    ask = Ask(purpose="draft", slots=(0,), lines=asked_lines, ordinal=0)
    loop.record(ask, grown)
    assert loop.next() is not None, "one poor answer does not end it"
    loop.record(ask, grown)
    assert (loop.next() is not None) is goes_on


def test_the_ratio_is_that_of_the_last_four_answers() -> None:
    loop = LengthLoop(section_text(200, 1), profile(500))
    ask = Ask(purpose="draft", slots=(0,), lines=20, ordinal=0)
    for grown in (40, 20, 20, 20):
        loop.record(ask, grown)
    assert loop.ratio == 100 / 80
    loop.record(ask, 20)
    assert loop.ratio == 1


@pytest.mark.parametrize(("ratio", "grown"), [(0.25, 25), (0.26, 26), (0.25, 24), (4, 400), (3.99, 399), (4, 401)])
def test_the_ratio_is_bounded_at_a_quarter_and_at_four(ratio: float, grown: int) -> None:
    loop = LengthLoop(section_text(2_000, 1), profile(500))
    loop.record(Ask(purpose="draft", slots=(0,), lines=100, ordinal=0), grown)
    assert loop.ratio == ratio


@pytest.mark.parametrize(("target", "topics"), [(202, 1), (102, 0)])
def test_a_sections_only_request_asks_for_two_thirds_at_first(target: int, topics: int) -> None:
    section = section_text(target, topics)
    first = LengthLoop(section, profile(500)).next()
    assert first is not None
    share = target - section.base_lines - 1
    assert first.lines == round(0.65 * share)
    in_parts = LengthLoop(section_text(target, topics), profile(500, aspects={"en": ("use",)})).next()
    assert in_parts is not None
    assert in_parts.lines == share, "a model that is asked part by part is not probed"


@pytest.mark.parametrize(("topics", "together"), [(5, 2), (6, 2), (7, 2), (8, 3), (9, 3), (10, 4)])
def test_the_first_request_takes_no_more_topics_than_two_fifths_of_the_lines(topics: int, together: int) -> None:
    first = LengthLoop(section_text(1_000, topics), profile(1_000)).next()
    assert first is not None
    assert len(first.slots) == together


@pytest.mark.parametrize(("less", "topics"), [(0, 2), (1, 1)])
def test_one_request_takes_topics_up_to_what_the_profile_lets_it_bring(less: int, topics: int) -> None:
    section = section_text(522, 10)
    quota = (522 - section.base_lines) / 10 - 1
    assert quota == 49
    loop = LengthLoop(section, profile(2 * 49 - less))
    ask = Ask(purpose="draft", slots=(0,), lines=49, ordinal=0)
    loop.record(ask, section.add(sentences(49), Finish.STOP, (0,)))
    second = loop.next()
    assert second is not None
    assert len(second.slots) == topics


# --- answers whose connection broke --------------------------------------------------------------


def test_an_answer_that_was_cut_is_continued_and_teaches_nothing() -> None:
    section = section_text(60, 1)
    loop = LengthLoop(section, profile(200))
    first = loop.next()
    assert first is not None
    for tries in range(4):
        ask = first if not tries else loop.next()
        assert ask is not None, "a broken connection does not end it"
        assert ask.purpose == ("continue" if tries else "draft")
        grown = section.add(f"{sentences(1)}and here the connection {tries} broke in the", Finish.CUT, ask.slots)
        loop.record(ask, grown, cut=True)
        assert section.cut == [True]
        assert loop.ratio == 1
    last = loop.next()
    assert last is not None
    loop.record(last, section.add(" middle.\n" + sentences(last.lines), Finish.STOP, last.slots))
    assert section.cut == [False]


def test_a_text_that_was_cut_at_the_end_of_a_sentence_is_not_ended_again() -> None:
    section = section_text(8, 1)
    loop = LengthLoop(section, profile(200))
    ask = loop.next()
    assert ask is not None
    loop.record(ask, section.add(sentences(4), Finish.CUT, ask.slots), cut=True)
    assert section.cut == [False]
    assert loop.next() is None


def test_a_connection_that_always_breaks_is_not_followed_for_ever() -> None:
    section = section_text(100, 2)
    loop = LengthLoop(section, profile(50))
    for _ in range(40):
        ask = loop.next()
        if ask is None:
            break
        loop.record(ask, section.add(f"{sentences(1)}it broke in the", Finish.CUT, ask.slots), cut=True)
    assert len(loop.outcomes) <= 10
