"""The order for each question of a section: what is sent, and the most that it can cost.

Everything here is determined by the outline, the book, the templates, the source document and the
profile. Two runs over the same input make the same orders.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from expand.budget import Amount
from expand.drafting.chapter_state import NO_REVISION, Chapter, ModelSetup, Revision
from expand.drafting.length_loop import Ask
from expand.drafting.section_text import SectionText, Skeleton
from expand.errors import InputError
from expand.ledger import ModelLimits, Order, no_price
from expand.llm.tokens import raised
from expand.llm.types import Address, Purpose, Request
from expand.outline import Section
from expand.prompts.rendering import RequestContext

TAIL_LINES = 24
"""Lines of what is written that a question shows the model, so that it goes on from there."""
BRIEF_TAIL_LINES = 4
LEAST_OUTPUT_TOKENS = 256
CHAT_SLACK_TOKENS = 8
"""Added to every prompt bound: servers differ in how many tokens the chat format takes."""
TRIES_STRIDE = 1000
"""Editions are this far apart, so that tries of one edition fit between."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ExtraContext:
    """What a section is drafted into: what earlier sections say (``told``, "" when they are drafted
    side by side) and, for a revision, the text of each topic as it stands.
    """

    told: str = ""
    present: Mapping[int, str] = field(default_factory=dict)

    def present_of(self, slots: Sequence[int]) -> str:
        """The present text of some topics."""
        return "\n\n".join(self.present[slot] for slot in slots if slot in self.present)


NO_EXTRA_CONTEXT = ExtraContext()
TEMPLATE_OF: Mapping[Purpose, str] = {
    "draft": "section.j2",
    "revise": "section.j2",
    "continue": "continue.j2",
    "repair": "repair.j2",
}


def order_for(
    chapter: Chapter,
    section: Section,
    ask: Ask,
    manuscript: SectionText,
    *,
    run_id: str,
    edition: Revision,
    attempt: int = 0,
    setting: ExtraContext = NO_EXTRA_CONTEXT,
) -> Order:
    """The order for a question. ``attempt`` counts answers to it that could not be used."""
    means = chapter.means
    profile = means.profile
    request = _request(chapter, section, ask, manuscript, edition, attempt, setting)
    estimate = means.counter.count_messages(request.messages)
    prompt = _prompt_bound(means, estimate)
    _require_room(chapter, section, prompt, request.max_output_tokens)
    price = means.price
    return Order(
        request=request,
        address=Address(chapter=chapter.id, section=section.number, purpose=ask.purpose),
        run_id=run_id,
        language=chapter.language,
        plan=chapter.plan.value,
        prompt_tokens=prompt,
        prompt_estimate=estimate,
        amount=Amount(
            tokens=prompt + request.max_output_tokens,
            pico_usd=price.bound(prompt, request.max_output_tokens) if price else None,
        ),
        rates=ModelLimits(rpm=profile.rpm, tpm=profile.tpm, concurrency=profile.calls_at_once),
        cost=price.cost if price else no_price,
        unpriced=chapter.options.unpriced,
        question=_question(chapter, section, ask, edition, attempt, setting),
        rank=0 if any(body.strip() for body in manuscript.bodies) else 1,
    )


def rehearse(chapter: Chapter, section: Section, ask: Ask, manuscript: SectionText) -> None:
    """Makes a question on trial, so that what is wrong with the templates or the context window is
    said before anything is sent. Counts tokens only where the bytes alone do not show that it fits.

    Raises ``InputError``.
    """
    means = chapter.means
    means.counter.load()
    request = _request(chapter, section, ask, manuscript, NO_REVISION, 0, NO_EXTRA_CONTEXT)
    output = request.max_output_tokens
    most = _prompt_bound(means, means.counter.at_most(request.messages))
    if most + output > means.profile.context_window:
        prompt = _prompt_bound(means, means.counter.count_messages(request.messages))
        _require_room(chapter, section, prompt, output)


def _request(
    chapter: Chapter,
    section: Section,
    ask: Ask,
    manuscript: SectionText,
    edition: Revision,
    attempt: int,
    setting: ExtraContext,
) -> Request:
    """What is sent for a question."""
    profile = chapter.means.profile
    context = _request_context(chapter, section, ask, manuscript, edition, setting)
    cap = max(LEAST_OUTPUT_TOKENS, profile.output_cap(ask.lines))
    return Request(
        model=profile.name,
        messages=(chapter.system, chapter.prompts.request(TEMPLATE_OF[ask.purpose], context)),
        max_output_tokens=min(cap, profile.max_output_tokens),
        parameters=profile.request_parameters(
            lines=ask.lines,
            aspect=context.aspect,
            topic=context.topics[0] if context.topics else context.section_title,
        ),
        edition=edition.number * TRIES_STRIDE + attempt,
    )


def _prompt_bound(means: ModelSetup, counted: int) -> int:
    """The most tokens that a prompt takes of which so many were counted."""
    return raised(counted, means.margin()) + CHAT_SLACK_TOKENS


def _question(
    chapter: Chapter,
    section: Section,
    ask: Ask,
    edition: Revision,
    attempt: int,
    setting: ExtraContext,
) -> str:
    slots = ",".join(str(slot) for slot in ask.slots)
    key = chapter.key(section, edition)
    words = (chapter.id, key, ask.purpose, slots, str(ask.ordinal), str(attempt), setting.told)
    return hashlib.sha256("|".join(words).encode()).hexdigest()


def _require_room(chapter: Chapter, section: Section, prompt: int, output: int) -> None:
    window = chapter.means.profile.context_window
    if prompt + output > window:
        raise InputError(
            f"chapter {chapter.id}, section {section.number}: a prompt of {prompt:,} tokens and "
            f"{output:,} of output do not fit {chapter.means.profile.name}'s context window of "
            f"{window:,}",
            remedy="shorten the house rules or the topics, or take a model with a larger one",
        )


def _request_context(
    chapter: Chapter,
    section: Section,
    ask: Ask,
    manuscript: SectionText,
    edition: Revision,
    setting: ExtraContext,
) -> RequestContext:
    frame = manuscript.frame
    aspects = chapter.means.profile.aspects.get(chapter.language, ())
    position = section.number - 1
    sections = chapter.outline.sections
    material = [*frame.intro] if 0 in ask.slots and ask.part == 0 else []
    for slot in ask.slots:
        material += frame.placed.get(slot, ())
    first = ask.part == 0 and ask.purpose != "repair"
    continuing = ask.purpose == "continue"
    repairing = ask.purpose == "repair"
    present = manuscript.bodies[ask.slots[0]] if repairing else setting.present_of(ask.slots)
    return RequestContext(
        language=chapter.language,
        audience=chapter.audience(),
        chapter_id=chapter.id,
        chapter_title=chapter.say(chapter.outline.title),
        section_number=section.number,
        section_title=frame.title,
        topics=tuple(frame.topics[slot] for slot in ask.slots if frame.topics),
        lines=ask.lines,
        previous_section=chapter.say(sections[position - 1].title) if position else "",
        section_note=chapter.say(section.note) if section.note else "",
        source_material="\n\n".join(material) if first else "",
        before=_before(ask, manuscript, brief=bool(aspects)),
        open_fence=manuscript.fence(ask.slots[0]) if continuing else "",
        aspect=aspects[ask.part % len(aspects)] if aspects else "",
        code_examples=_examples_of(chapter, section, ask, frame) if first else 0,
        instruction=edition.instruction,
        present=present.strip("\n"),
        told=setting.told if first else "",
        problems=ask.problems,
        opens_section=first and 0 in ask.slots,
        closes_section=manuscript.slots[-1] in ask.slots,
    )


def _before(ask: Ask, manuscript: SectionText, *, brief: bool) -> str:
    """The end of what the question goes on from: its topic's text, or the topic's before."""
    most = BRIEF_TAIL_LINES if brief else TAIL_LINES
    for slot in range(ask.slots[0], -1, -1):
        if manuscript.bodies[slot].strip():
            return manuscript.tail(slot, most)
    return ""


def _examples_of(chapter: Chapter, section: Section, ask: Ask, frame: Skeleton) -> int:
    """The code examples that one question should bring: its topics' part of the section's."""
    slots = max(1, len(frame.topics))
    wanted = chapter.examples(section)
    before = round(wanted * ask.slots[0] / slots)
    return round(wanted * (ask.slots[-1] + 1) / slots) - before
