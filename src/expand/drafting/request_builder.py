"""Build the order for each request of a section: what is sent, and the most that it can cost.

Everything here is determined by the outline, the book, the templates, the source document and the profile. Two runs
over the same input make the same orders.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Mapping, Sequence
from dataclasses import InitVar, dataclass, field, replace
from itertools import accumulate, pairwise
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from expand.budget import Amount
from expand.drafting.chapter import Chapter
from expand.drafting.length_loop import Ask
from expand.drafting.memory import standing
from expand.drafting.model_setup import ModelSetup, ThinkingRoom
from expand.drafting.run_options import RunOptions
from expand.drafting.section_text import SectionText
from expand.errors import InputError
from expand.ledger import ModelLimits, Order
from expand.llm.profile import Price
from expand.llm.tokens import raised
from expand.llm.types import Address, Message, Purpose, Request
from expand.markdown import matching
from expand.prompts.context import RequestContext
from expand.references.passages import quoted as quoted_passages
from expand.schema import Json

if TYPE_CHECKING:
    from expand.drafting.section_state import SectionCheck

WHOLE = 0
"""The section that stands for the chapter as a whole."""
TAIL_LINES, DRAFT_TAIL_LINES = 24, 8
"""Lines of the section so far that a request shows the model, so that it goes on from there; fewer for a new topic."""
BRIEF_TAIL_LINES = 4
TAIL_TOKENS = 2000
"""The most tokens of them: a line may be of any length."""
OPENING_TOKENS = 4000
"""The most tokens that a request says of the sections before it, and of the text above a section's topics; of more,
the last ones."""
QUOTED_SHARE = 8
"""Neither of the two is more than this part of the model's context window."""
LEAST_OUTPUT_TOKENS = 256
LEAST_CAP = 0.3
"""The share of its output cap that a request needs at the least: caps are set at several times what lines take."""
CHAT_SLACK_TOKENS = 8
"""Added to every prompt bound: servers differ in how many tokens the chat format takes."""
TRIES_STRIDE = 1000
"""Editions are this far apart, so that tries of one edition fit between."""
TEMPLATE_OF: Mapping[Purpose, str] = {
    "draft": "section.j2",
    "revise": "section.j2",
    "continue": "continue.j2",
    "repair": "repair.j2",
}


def quoted(text: str, most_tokens: int, setup: ModelSetup) -> str:
    """The end of a text that a request quotes, bounded in tokens, so that no text makes a request too large."""
    return setup.counter.last(text, min(most_tokens, setup.profile.context_window // QUOTED_SHARE))


def prompt_bound(estimate: int, setup: ModelSetup) -> int:
    """The most tokens that a prompt can have, by the count of its messages."""
    return raised(estimate, setup.margin()) + CHAT_SLACK_TOKENS


class Orders(NamedTuple):
    """Makes the orders of a run for one model."""

    setup: ModelSetup
    options: RunOptions
    run_id: str

    def order(
        self, request: Request, address: Address, *, question: Sequence[object], estimate: int, rank: int = 1
    ) -> Order:
        """The order for a request, at the most that it can cost. ``estimate`` counts its messages' tokens, ``question``
        is what its identity is made of. Raises ``InputError`` where it does not fit the model's context window."""
        profile, price = self.setup.profile, self.setup.price
        prompt, output = prompt_bound(estimate, self.setup), request.max_output_tokens
        if prompt + output > profile.context_window:
            where = f"chapter {address.chapter}" + (f", section {address.section}" if address.section else "")
            raise InputError(
                f"{where}: a prompt of {prompt:,} tokens and {output:,} of output do not fit {profile.name}'s context "
                f"window of {profile.context_window:,}",
                remedy="shorten the house rules or the topics, or take a model with a larger one (for briefs, reviews "
                "and translations under [roles])",
            )
        return Order(
            request=request,
            address=address,
            run_id=self.run_id,
            language=self.options.language,
            plan=self.options.plan.value,
            prompt_tokens=prompt,
            prompt_estimate=estimate,
            amount=Amount(tokens=prompt + output, pico_usd=price.bound(prompt, output) if price else None),
            rates=ModelLimits(rpm=profile.rpm, tpm=profile.tpm, concurrency=profile.calls_at_once),
            cost=price.cost if price else None,
            unpriced=self.options.unpriced,
            question=hashlib.sha256("|".join(map(str, question)).encode()).hexdigest(),
            rank=rank,
        )

    def of_chapter(
        self,
        messages: Sequence[Message],
        chapter: str,
        purpose: Purpose,
        *,
        output_tokens: int,
        question: Sequence[object],
        edition: int = 0,
        parameters: Mapping[str, Json] = MappingProxyType({}),
    ) -> Order:
        """The order for a request about a chapter as a whole, with an output cap of ``output_tokens`` beside what the
        model thinks. ``edition`` is raised to have it bought anew, ``parameters`` are laid over the profile's. Raises
        ``InputError`` as ``order`` does."""
        profile = self.setup.profile
        request = Request(
            model=profile.name,
            messages=(*messages,),
            max_output_tokens=min(profile.max_output_tokens, profile.reasoning_tokens + output_tokens),
            parameters={**profile.parameters, **parameters},
            edition=edition,
        )
        estimate = self.setup.counter.count_messages(messages)
        return self.order(request, Address(chapter, WHOLE, purpose), question=question, estimate=estimate)


def _most_output(left: Mapping[str, int], prompt: int, price: Price | None) -> int:
    """The output cap that tokens and money leave to a request with a prompt of so many tokens."""
    found = [left["tokens"] - prompt] if "tokens" in left else []
    base = price.bound(prompt, 0) if price else 0
    if price and "pico_usd" in left and (rate := price.bound(prompt, 1) - base):
        found.append((left["pico_usd"] - base) // rate)
    return min(found, default=sys.maxsize)


@dataclass(eq=False)
class RequestBuilder:
    """Builds the requests of one section for one model: the chapter's, or that of ``setup``. Either way they ask the
    same questions, so that an answer is found whichever model gave it."""

    chapter: Chapter
    check: SectionCheck
    run_id: str = ""
    setup: InitVar[ModelSetup | None] = None
    thinking: ThinkingRoom = field(default_factory=ThinkingRoom)

    def __post_init__(self, setup: ModelSetup | None) -> None:
        chapter, section = self.chapter, self.check.section
        self._section = section
        self._examples = chapter.topic_examples(section)
        self._setup = setup or chapter.setup
        self.profile = self._setup.profile
        self.model = self.profile.name
        self._skeleton = chapter.skeletons[section.number]
        self._aspects = self.profile.aspects.get(chapter.language, ())

    def order(
        self, ask: Ask, section_text: SectionText, *, attempt: int = 0, left: Mapping[str, int] = MappingProxyType({})
    ) -> Order:
        """The order for a request. ``attempt`` counts answers to it that could not be used. Where it may cost more than
        is ``left``, its output cap is lowered, as far as the lines should still fit.

        Raises ``InputError`` when it does not fit the model's context window."""
        profile = self.profile
        if self._setup is not self.chapter.setup:
            # The lines are what the chapter's own model can well bring at a time, and this one may bring fewer.
            ask = replace(ask, lines=min(ask.lines, profile.lines_per_request))
        if not profile.writes(self.chapter.language):
            raise InputError(f"model {profile.name} does not write {self.chapter.language}")
        prompts, system = self.chapter.templates_for(self._setup)
        context = self._context(ask, section_text)
        messages = (system, prompts.message(TEMPLATE_OF[ask.purpose], context))
        estimate = self._setup.counter.count_messages(messages)
        prompt = prompt_bound(estimate, self._setup)
        # Reserved whole, so it should be near what will come. With the model's maximum, one request could take the rest
        # of a small budget.
        cap = min(max(LEAST_OUTPUT_TOKENS, profile.output_cap(ask.lines)), profile.max_output_tokens)
        output = self.thinking.cap(profile, cap, profile.context_window - prompt)
        if output > (most := _most_output(left, prompt, self._setup.price)) >= LEAST_CAP * output:
            output = most
        request = Request(
            model=profile.name,
            messages=messages,
            max_output_tokens=output,
            parameters=profile.request_parameters(
                lines=ask.lines,
                aspect=context.aspect,
                topic=context.topics[0] if context.topics else context.section_title,
            ),
            edition=self.check.revision.number * TRIES_STRIDE + attempt,
        )
        return Orders(self._setup, self.chapter.options, self.run_id).order(
            request,
            Address(self.chapter.id, self._section.number, ask.purpose),
            question=self._question(ask, attempt),
            estimate=estimate,
            rank=0 if any(body.strip() for body in section_text.bodies) else 1,
        )

    def _question(self, ask: Ask, attempt: int) -> tuple[object, ...]:
        """The identity of a request, whatever its exact words and numbers are: a run that was killed finds its answers
        by it, although the texts that the words quote may have changed since."""
        slots = ",".join(map(str, ask.slots))
        # Neither lines nor the words of the prompt are in it. Both depend on earlier answers, so a run that was killed
        # would not recognise what it had bought. An answer to other passages is no answer; a section that cites none of
        # what changed is not asked for at all.
        marks = [passage.mark for passage in self._skeleton.passages.values()]
        key = self.chapter.key(self._section, self.check.revision)
        # The ordinals count from the text that a topic goes on from. An answer that this text has in it already was
        # asked for from another one, so it is never found again. The "" keeps the identity of answers that earlier
        # versions bought.
        begun = [text for slot, text in enumerate(self.check.begun.bodies) if slot in ask.slots and text.strip()]
        return (self.chapter.id, key, ask.purpose, slots, ask.ordinal, attempt, "", *marks, *begun)

    def _context(self, ask: Ask, section_text: SectionText) -> RequestContext:
        chapter, section, skeleton, slots = self.chapter, self._section, self._skeleton, ask.slots
        before = self._before(ask, section_text)
        previous = chapter.skeletons.get(section.number - 1)
        repairing = ask.purpose == "repair"
        # Only a topic's first request shows the author's blocks and asks for code: a further one would have them again.
        first = ask.part == 0 and not repairing
        opens = first and 0 in slots
        material = skeleton.material(*slots)
        present = dict(enumerate(section_text.bodies)) if repairing else self.check.present
        headed = [f"### {skeleton.topics[slot]}\n\n" if len(slots) > 1 else "" for slot in slots]
        shown = [h + present[slot].strip("\n") for h, slot in zip(headed, slots, strict=True) if slot in present]
        return RequestContext(
            language=chapter.language,
            audience=chapter.context.audience,
            chapter_id=chapter.id,
            chapter_title=chapter.context.chapter_title,
            section_number=section.number,
            section_title=skeleton.title,
            previous_section=previous.title if previous else "",
            section_note=chapter.say(section.note),
            section_references=quoted_passages(chapter.quoted_passages.get(section.number, {})),
            instruction=self.check.revision.instruction,
            topics=tuple(skeleton.topics[slot] for slot in slots if skeleton.topics),
            lines=skeleton.measure.stated(ask.lines),
            unit=skeleton.measure.unit,
            topic_lines=self._topic_lines(ask),
            source_material="\n\n".join(material) if first else "",
            revises_source=skeleton.revised and first and bool(material),
            before=before,
            standing=standing(section_text.render()) if before and not self._aspects else "",
            open_fence=section_text.fence(slots[0]) if ask.purpose == "continue" else "",
            cut=ask.purpose == "continue" and section_text.cut[slots[0]],
            aspect=self._aspects[ask.part % len(self._aspects)] if self._aspects else "",
            code_examples=sum(self._examples[slot] for slot in slots) if first else 0,
            present=ask.code.strip("\n") or "\n\n".join(shown),
            problems=ask.problems,
            code_only=bool(ask.code),
            opening=quoted(section_text.skeleton.lead, OPENING_TOKENS, self._setup) if opens else "",
            section_brief=self._section_brief(slots) if first else "",
            must_cite=self._claims(slots) if first else (),
            opens_section=opens,
            closes_section=section_text.slots[-1] in slots,
        )

    def _claims(self, slots: Sequence[int]) -> tuple[str, ...]:
        """The claims that some topics have to make and to cite: each falls to the topic that has most of its terms."""
        topics = [matching.terms(topic) for topic in self._skeleton.topics] or [set()]
        claims = [self.chapter.say(claim) for claim in self._section.must_cite]
        return tuple(
            c for c in claims if max(range(len(topics)), key=lambda n: len(topics[n] & matching.terms(c))) in slots
        )

    def _section_brief(self, slots: Sequence[int]) -> str:
        """What the brief says for the section, and for the topics of this request."""
        entry = self.chapter.brief_of(self._section)
        if entry is None:
            return ""
        topics = [(self._section.topics[slot].every(), self._examples[slot]) for slot in slots if self._section.topics]
        return entry.text(topics)

    def _topic_lines(self, ask: Ask) -> tuple[int, ...]:
        """How the topics of a request share it, in what the outline counts; () where neither outline nor brief says."""
        weights = self._skeleton.weights
        own = [weights[slot] for slot in ask.slots] if weights else []
        if len(own) < 2:
            return ()
        whole = self._skeleton.measure.stated(ask.lines)
        # Differences of rounded sums: each rounded by itself, they might add up to another number than is asked for.
        sums = [round(whole * total / sum(own)) for total in accumulate(own, initial=0)]
        return tuple(after - before for before, after in pairwise(sums))

    def _before(self, ask: Ask, section_text: SectionText) -> str:
        """The end of what the request goes on from: its topic's text, or the topic's before."""
        begun = [slot for slot in range(ask.slots[0] + 1) if section_text.bodies[slot].strip()]
        if not begun:
            return ""
        most = DRAFT_TAIL_LINES if TEMPLATE_OF[ask.purpose] == "section.j2" else TAIL_LINES
        tail = section_text.tail(begun[-1], BRIEF_TAIL_LINES if self._aspects else most)
        return quoted(tail, TAIL_TOKENS, self._setup)
