"""One chapter: what its sections consist of, when they are current, and what is asked."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from decimal import Decimal
from math import ceil
from pathlib import Path
from typing import Any

import pytest
from workspaces import SOURCE, small

from expand.drafting.chapter import NO_REVISION, PARTS, Chapter, Revision, differences
from expand.drafting.length_loop import Ask
from expand.drafting.model_setup import ModelSetup
from expand.drafting.request_builder import CHAT_SLACK_TOKENS, LEAST_CAP, RequestBuilder
from expand.drafting.run_options import RunOptions
from expand.drafting.section_state import SectionCheck
from expand.drafting.section_text import SectionText
from expand.errors import InputError
from expand.ledger import Order
from expand.llm.profile import profile_for
from expand.llm.tokens import TokenCounter, price_for
from expand.llm.types import Finish
from expand.outline import Outline, Quality, Text
from expand.prompts.rendering import Prompts
from expand.workspace import Workspace

ASK = Ask(purpose="draft", slots=(0,), lines=12, ordinal=0)
Change = Callable[[dict[str, Any]], dict[str, Any]]


@pytest.fixture
def place(tmp_path: Path) -> Workspace:
    return Workspace(root=small(tmp_path))


def setup(folder: Path | None = None, model: str = "scripted", **profile: Any) -> ModelSetup:
    known = profile_for(model, {model: profile} if profile else None)
    return ModelSetup(
        profile=known,
        counter=TokenCounter(model),
        price=price_for(model, known, None),
        prompts=Prompts(folder, style=known.style),
        margin=lambda: Decimal("0.1"),
    )


def parts(place: Workspace) -> dict[str, Any]:
    return {
        "book": place.book(),
        "outline": place.outline("07"),
        "source_text": SOURCE,
        "setup": setup(),
    }


def chapter(place: Workspace, *, language: str = "en", **changes: Any) -> Chapter:
    return Chapter(**{**parts(place), "options": RunOptions(language=language), **changes})


def order(
    of: Chapter,
    ask: Ask = ASK,
    *,
    number: int = 1,
    written: str = "",
    revision: Revision = NO_REVISION,
    attempt: int = 0,
    present: Mapping[int, str] | None = None,
) -> Order:
    section = of.outline.sections[number - 1]
    section_text = SectionText(of.skeletons[section.number])
    if written:
        section_text.add(written, Finish.STOP, (0,))
    check = SectionCheck(section=section, state="due", revision=revision, present=present or {})
    return RequestBuilder(of, check, run_id="r").order(ask, section_text, attempt=attempt)


def said(of: Order) -> str:
    return of.request.messages[-1].content


# --- what it consists of ---------------------------------------------------------------------


def test_the_sources_blocks_stand_in_the_section_they_belong_to(place: Workspace) -> None:
    opened = chapter(place)
    one, two, three = (opened.skeletons[section.number] for section in opened.outline.sections)

    assert one.intro == three.intro == ()
    assert not one.placed
    text = "\n".join([*two.intro, *(block for blocks in two.placed.values() for block in blocks)])
    assert "A named pipe outlives" in text
    assert "std::fs::File::open(path)" in text
    assert (two.number, two.title, two.target) == (2, "Named pipes", 40)
    assert two.topics == ("Opening a pipe", "Reading until the end")
    assert three.topics == ()


def test_blocks_of_a_section_without_topics_are_its_introduction(place: Workspace) -> None:
    outline = place.outline("07")
    two = outline.sections[1]._replace(topics=())
    opened = chapter(place, outline=outline._replace(sections=(outline.sections[0], two, outline.sections[2])))
    skeleton = opened.skeletons[2]
    assert "A named pipe outlives" in "\n".join(skeleton.intro)
    assert not skeleton.placed


def test_titles_and_topics_are_said_in_the_drafts_language(place: Workspace) -> None:
    opened = chapter(place, language="zh")
    assert opened.skeletons[1].title == "信号处理"
    assert opened.skeletons[2].topics == ("打开管道", "读到结尾")


@pytest.mark.parametrize(
    ("source", "language", "first"),
    [
        (SOURCE, "en", "# Signals and pipes\n\n> **Level**: expert"),
        (SOURCE, "zh", "# 信号与管道\n\n> **Level**: expert"),
        ("# Signals, old title\n\n> Note.\n\n## A\n\nText.\n", "en", "# Signals, old title\n"),
        ("# Signals, old title\n\n> Note.\n\n## A\n\nText.\n", "zh", "# 信号与管道\n\n> Note."),
        ("# 旧标题\n\n## A\n\nText.\n", "en", "# Signals and pipes\n"),
        ("> No title.\n\n## A\n\nText.\n", "en", "# Signals and pipes\n"),
        ("", "en", "# Signals and pipes\n"),
    ],
)
def test_the_head_is_the_sources_with_a_title_in_the_language(
    place: Workspace, source: str, language: str, first: str
) -> None:
    head = chapter(place, source_text=source, language=language).arrangement.pieces[0]
    assert isinstance(head, str)
    assert f"{head}\n".startswith(first)
    assert len(re.findall(r"^# ", head, re.MULTILINE)) == 1


@pytest.mark.parametrize("rule", ["---", "***"])
def test_the_footer_has_no_rule_of_its_own(place: Workspace, rule: str) -> None:
    source = SOURCE.replace("---\n\n**Maintenance**", f"{rule}\n\n**Maintenance**")
    pieces = chapter(place, source_text=source).arrangement.pieces
    assert pieces[1:] == (1, 2, 3, "---\n\n**Maintenance**: kept by its authors.\n")
    assert chapter(place, source_text="# T\n\n## A\n\nText.\n").arrangement.pieces[1:] == (1, 2, 3, "")


# --- when a section is current ---------------------------------------------------------------


def with_section(outline: Outline, number: int, **changes: Any) -> Outline:
    sections = list(outline.sections)
    sections[number - 1] = sections[number - 1]._replace(**changes)
    return outline._replace(sections=tuple(sections))


def of_topic(p: dict[str, Any]) -> dict[str, Any]:
    return {"outline": with_section(p["outline"], 1, topics=(Text(plain="Other"),))}


CHANGES: dict[str, tuple[Change, str]] = {
    "topic": (of_topic, "outline"),
    "title": (
        lambda p: {"outline": with_section(p["outline"], 1, title=Text(plain="X"))},
        "outline",
    ),
    "lines": (lambda p: {"outline": with_section(p["outline"], 1, lines=41)}, "outline"),
    "note": (
        lambda p: {"outline": with_section(p["outline"], 1, note=Text(plain="N"))},
        "outline",
    ),
    "examples": (
        lambda p: {"outline": with_section(p["outline"], 1, code_examples=4)},
        "outline",
    ),
    "rule": (
        lambda p: {"book": p["book"]._replace(house_rules=(Text(plain="New rule."),))},
        "book",
    ),
    "readers": (lambda p: {"book": p["book"]._replace(audience=Text(plain="All"))}, "book"),
    "chapter title": (
        lambda p: {"outline": p["outline"]._replace(title=Text(plain="New title"))},
        "book",
    ),
    "glossary": (
        lambda p: {"outline": p["outline"]._replace(glossary={"pipe": Text(plain="a FIFO")})},
        "book",
    ),
    "model": (lambda p: {"setup": setup(model="other")}, "model"),
    "parameters": (lambda p: {"setup": setup(parameters={"seed": 7})}, "model"),
    "lines per request": (lambda p: {"setup": setup(lines_per_request=7)}, "model"),
    "language": (lambda p: {"language": "zh"}, "language"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_section_is_no_longer_current_when_what_it_is_made_from_changed(place: Workspace, name: str) -> None:
    change, part = CHANGES[name]
    before = chapter(place)
    after = chapter(place, **change(parts(place)))
    key = before.key(before.outline.sections[0], NO_REVISION)
    changed = differences(key, after.key(after.outline.sections[0], NO_REVISION))
    assert part in changed
    if name != "language":
        assert changed == (part,)


def test_a_template_an_edition_and_an_instruction_count_too(place: Workspace, tmp_path: Path) -> None:
    opened = chapter(place)
    section = opened.outline.sections[0]
    key = opened.key(section, NO_REVISION)
    (tmp_path / "length.j2").write_text("{{ lines }} lines")
    other = chapter(place, setup=setup(tmp_path))

    assert differences(key, other.key(section, NO_REVISION)) == ("templates",)
    assert differences(key, opened.key(section, Revision(number=1))) == ("revision",)
    assert differences(key, opened.key(section, Revision(instruction="more"))) == ("revision",)
    assert differences(key, "0123456789abcdef") == PARTS, "a key of an older form"
    assert opened.key(section, NO_REVISION) == key


def test_the_sources_blocks_count_where_they_stand(place: Workspace) -> None:
    before = chapter(place)
    after = chapter(place, source_text=SOURCE.replace("outlives", "survives"))
    changed = [
        differences(before.key(section, NO_REVISION), after.key(section, NO_REVISION))
        for section in before.outline.sections
    ]
    assert changed == [(), ("source",), ()]


def test_a_neighbours_topic_does_not_count(place: Workspace) -> None:
    before = chapter(place)
    after = chapter(place, **of_topic(parts(place)))
    for section in before.outline.sections[1:]:
        assert before.key(section, NO_REVISION) == after.key(section, NO_REVISION)


# --- orders ----------------------------------------------------------------------------------


def test_an_order_reserves_the_prompts_bound_and_the_cap(place: Workspace) -> None:
    made = order(chapter(place))

    assert (made.address.chapter, made.address.section, made.address.purpose) == ("07", 1, "draft")
    assert (made.language, made.plan, made.run_id) == ("en", "full", "r")
    assert made.prompt_estimate is not None
    assert 10 * (made.prompt_tokens - CHAT_SLACK_TOKENS) >= 11 * made.prompt_estimate
    assert made.amount.tokens == made.prompt_tokens + made.request.max_output_tokens
    assert made.amount.pico_usd is None
    priced = order(chapter(place, setup=setup(model="gpt-4.1")))
    assert priced.amount.pico_usd is not None
    assert priced.amount.pico_usd > 0


def test_the_cap_has_room_for_the_lines_and_never_too_little(place: Workspace) -> None:
    opened = chapter(place, setup=setup(tokens_per_line=50, max_output_tokens=3_000))
    caps = [order(opened, replace(ASK, lines=n)).request.max_output_tokens for n in (3, 20, 500)]
    assert caps == [256, 1_000, 3_000]


def test_the_same_input_makes_the_same_order(place: Workspace) -> None:
    one, other = order(chapter(place)), order(chapter(place))
    assert one.request.key == other.request.key
    assert one.question == other.question
    assert one.question is not None


def test_a_question_is_the_same_whatever_its_numbers(place: Workspace) -> None:
    opened = chapter(place)
    same = order(opened)
    assert order(opened, replace(ASK, lines=30)).question == same.question
    assert order(opened, replace(ASK, lines=30)).request.key != same.request.key
    others = [
        order(opened, replace(ASK, ordinal=1)),
        order(opened, replace(ASK, slots=(1,))),
        order(opened, replace(ASK, purpose="continue")),
        order(opened, attempt=1),
        order(opened, revision=Revision(number=1)),
        order(opened, number=2),
    ]
    assert len({same.question, *(other.question for other in others)}) == 7


def test_a_fresh_edition_and_a_further_try_buy_another_answer(place: Workspace) -> None:
    opened = chapter(place)
    revisions = {
        order(opened).request.edition,
        order(opened, attempt=2).request.edition,
        order(opened, revision=Revision(number=1)).request.edition,
    }
    assert revisions == {0, 2, 1000}


def test_a_section_that_was_begun_is_finished_first(place: Workspace) -> None:
    opened = chapter(place)
    assert order(opened).rank == 1
    assert order(opened, written="Some text.\n").rank == 0


def test_a_prompt_that_does_not_fit_the_window_is_refused(place: Workspace) -> None:
    small_one = setup(context_window=400, max_output_tokens=300)
    with pytest.raises(InputError, match="do not fit scripted's context window of 400; shorten"):
        order(chapter(place, setup=small_one), replace(ASK, lines=50))


def test_a_prompt_may_fill_the_window_to_the_last_token(place: Workspace) -> None:
    made = order(chapter(place))
    fits = setup(context_window=made.prompt_tokens + made.request.max_output_tokens)
    assert order(chapter(place, setup=fits)).amount.tokens == fits.profile.context_window
    short = setup(context_window=fits.profile.context_window - 1)
    with pytest.raises(InputError, match="do not fit"):
        order(chapter(place, setup=short))


@pytest.mark.parametrize(("profile", "shown"), [({}, 24), ({"aspects": {"en": ["what it is"]}}, 4)])
def test_a_request_shows_the_end_of_what_is_written(place: Workspace, profile: dict[str, Any], shown: int) -> None:
    text = "".join(f"Sentence number {n} of the text so far.\n" for n in range(100, 140))
    again = replace(ASK, purpose="continue", part=1)
    made = said(order(chapter(place, setup=setup(**profile)), again, written=text))
    assert len(re.findall(r"Sentence number \d+ of", made)) == shown
    assert "Sentence number 139 of" in made


def test_a_first_question_tells_of_the_authors_text_and_what_precedes(place: Workspace) -> None:
    made = said(order(chapter(place), number=2))
    assert made.startswith("Now section 2 of chapter 07: Named pipes\n")
    assert 'It follows "Signal handling".' in made
    assert "std::fs::File::open(path)" in made
    assert "Write about this topic only: Opening a pipe" in made
    assert "It follows" not in said(order(chapter(place), number=1))


def test_a_further_question_does_not_tell_it_again(place: Workspace) -> None:
    again = replace(ASK, purpose="continue", part=1)
    made = said(order(chapter(place), again, number=2, written="Model text ends here.\n"))
    assert "std::fs::File::open(path)" not in made
    assert "Model text ends here." in made
    assert "is not finished yet" in made


def test_a_second_topic_is_told_how_the_first_one_ends(place: Workspace) -> None:
    made = said(order(chapter(place), replace(ASK, slots=(1,)), written="The first topic ends so.\n"))
    assert "The section so far ends like this" in made
    assert "The first topic ends so." in made


def test_a_repair_shows_the_text_and_its_faults(place: Workspace) -> None:
    repair = replace(ASK, purpose="repair", problems=("line 3: it is said twice; leave it out",))
    made = order(chapter(place), repair, written="The text at fault.\n")
    assert made.address.purpose == "repair"
    assert "The text at fault." in said(made)
    assert "- line 3: it is said twice; leave it out" in said(made)


def test_a_revision_shows_the_instruction_and_the_text(place: Workspace) -> None:
    revise = replace(ASK, purpose="revise")
    made = order(
        chapter(place),
        revise,
        revision=Revision(number=1, instruction="Be brief"),
        present={0: "Old text.\n", 1: "Other topic.\n"},
    )
    assert "with this instruction: Be brief" in said(made)
    assert "Old text." in said(made)
    assert "Other topic." not in said(made)


def test_code_examples_are_shared_out_without_remainder(place: Workspace) -> None:
    outline = place.outline("07")._replace(quality=Quality(code_examples=7, code_language="rust"))
    opened = chapter(place, outline=outline)
    wanted = []
    for section in opened.outline.sections:
        for slot in range(max(1, len(section.topics))):
            text = said(order(opened, replace(ASK, slots=(slot,)), number=section.number))
            found = re.search(r"Include (\d+) complete code", text)
            wanted.append(int(found[1]) if found else 0)
    assert sum(wanted) == 7
    assert opened.outline.quality.code_language == "rust"

    stated = chapter(place, outline=with_section(outline, 3, code_examples=9))
    assert "Include 9 complete code examples." in said(order(stated, number=3))


# --- checks ----------------------------------------------------------------------------------


def test_the_authors_own_text_may_be_in_another_language(place: Workspace) -> None:
    opened = chapter(place, language="zh")
    section = opened.outline.sections[1]
    section_text = SectionText(opened.skeletons[section.number])
    chinese = "".join(f"第{n}个句子说明管道在进程之间如何传递数据。\n" for n in range(3))
    section_text.add(chinese, Finish.STOP, (0,))
    found = opened.check(section, section_text.render())
    assert "short" in {finding.kind for finding in found}
    assert "wrong-language" not in {finding.kind for finding in found}
    assert opened.check(section, section_text.render()) is found, "checked once"

    english = "".join(f"Sentence {n} is written in the wrong language here.\n" for n in range(30))
    section_text.add(english, Finish.STOP, (1,))
    kinds = {finding.kind for finding in opened.check(section, section_text.render())}
    assert "wrong-language" in kinds


def test_an_order_lowers_its_cap_to_what_it_may_cost_but_not_below_three_tenths(place: Workspace) -> None:
    opened = chapter(place)
    check = SectionCheck(section=opened.outline.sections[0], state="due")
    requests, text = RequestBuilder(opened, check, run_id="run"), SectionText(opened.skeletons[1])
    whole = requests.order(ASK, text)
    prompt, output = whole.prompt_tokens, whole.request.max_output_tokens
    least = prompt + ceil(LEAST_CAP * output)
    assert requests.order(ASK, text, left={"tokens": prompt + output}).request.key == whole.request.key
    lowered = requests.order(ASK, text, left={"tokens": least})
    assert lowered.amount.tokens == least
    assert lowered.request.max_output_tokens == least - prompt
    assert lowered.question == whole.question
    assert requests.order(ASK, text, left={"tokens": least - 1}).amount.tokens == prompt + output


def test_a_request_says_what_the_section_has_defined(place: Workspace) -> None:
    asked = chapter(place)
    text = SectionText(asked.skeletons[1])
    builder = RequestBuilder(asked, SectionCheck(section=asked.outline.sections[0], state="due"), run_id="r")
    first = builder.order(ASK, text).request.messages[-1].content
    assert "Defined so far" not in first
    code = "pub struct Ring {\n    size: usize,\n}\n\npub async fn drain(ring: &Ring) {}\n"
    manifest = 'serde = { version = "1.0.228", features = ["derive"] }\ntokio = "1.47"\n'
    said = "A **work queue** is a list of jobs that nobody has begun.\n"
    text.add(f"{said}\n```rust\n{code}```\n\n```toml\n{manifest}```\n", Finish.STOP, (0,))
    for ask in (replace(ASK, slots=(1,)), replace(ASK, purpose="continue")):
        told = builder.order(ask, text).request.messages[-1].content
        defined = "types Ring; functions drain; versions serde 1.0.228, tokio 1.47; terms work queue\n"
        assert f"do not define it again: {defined}" in told
