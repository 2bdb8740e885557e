"""Sections proposed by the author model, for a chapter that has only a title.

The proposal is bought as every text is: reserved, settled, stored, and never bought twice; its
requests are addressed to section 0, the chapter as a whole. What is wrong with an answer goes back
to the model, three times at most in all. The lines are the user's: the model only says how they are
shared, and they are scaled to the target here. Nothing that is there is overwritten without leave,
and nothing is bought to be thrown away for want of it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from expand.budget import Amount
from expand.client.client import Bought
from expand.drafting.model_setup import ModelSetup
from expand.errors import AuthorError, InputError
from expand.importers.proposal import Proposal, ProposedSection, scaled, tidy
from expand.importers.proposal_schema import Bounds, Reading, form_parameters, read_answer
from expand.importers.target import SuggestionTarget
from expand.importers.writer import OutlineWriter, WrittenOutline
from expand.ledger import ModelLimits, Order, no_price
from expand.llm.tokens import raised
from expand.llm.types import Address, Answer, Finish, Request
from expand.markdown.matching import title_key
from expand.outline import Book
from expand.outline.lint import LINES_A_TOPIC
from expand.outline.plans import Plan
from expand.prompts.context import SuggestionContext
from expand.prompts.rendering import LANGUAGE_NAMES

TRIES = 3
SECTION = 0
"""The section that a proposal's requests are addressed to: the chapter as a whole."""
TOKENS_A_SECTION = 160
LEAST_OUTPUT_TOKENS = 600
CHAT_SLACK_TOKENS = 8
TRIES_STRIDE = 1000
MOST_MATERIAL = 12_000
"""Characters of a document, or of a former answer, that a request shows the model."""
MOST_CHAPTERS = 60


@dataclass(frozen=True, kw_only=True, slots=True)
class SuggestionRequest:
    """What is asked the next time: ``attempt`` counts from 0, ``cut`` the answers that broke off.

    ``present`` is the former answer and ``problems`` what is wrong with it.
    """

    attempt: int = 0
    cut: int = 0
    present: str = ""
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Proposed:
    """What came of it: the outline, and what it still owes; no findings where it owes nothing."""

    taken: WrittenOutline
    findings: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Consultation:
    """The questions about one chapter: ``lines`` is its target; a higher ``edition`` asks anew."""

    subject: SuggestionTarget
    book: Book
    means: ModelSetup
    filing: OutlineWriter
    lines: int
    edition: int = 0
    unpriced: bool = False

    @property
    def headings(self) -> tuple[str, ...]:
        """The sections that the chapter's document has."""
        return tuple(self.subject.present)

    @property
    def bounds(self) -> Bounds:
        """How many sections are taken."""
        return Bounds.of(self.lines, self.headings)

    def order(self, question: SuggestionRequest, *, run_id: str) -> Order:
        """The order for a question. Raises ``InputError`` where it does not fit the model."""
        means, profile = self.means, self.means.profile
        wanted = profile.reasoning_tokens + max(LEAST_OUTPUT_TOKENS, self.bounds.most * TOKENS_A_SECTION)
        cap = min(profile.max_output_tokens, wanted * 2**question.cut)
        context, estimate, prompt = self._fitting(question, cap)
        request = Request(
            model=profile.name,
            messages=(means.prompts.suggestion(context),),
            max_output_tokens=cap,
            parameters=form_parameters(profile, self.bounds, self.subject.title, self.headings),
            edition=self.edition * TRIES_STRIDE + question.attempt,
        )
        price = means.price
        return Order(
            request=request,
            address=Address(chapter=self.subject.id, section=SECTION, purpose="draft"),
            run_id=run_id,
            language=self.subject.how.language,
            plan=Plan.FULL.value,
            prompt_tokens=prompt,
            prompt_estimate=estimate,
            amount=Amount(tokens=prompt + cap, pico_usd=price.bound(prompt, cap) if price else None),
            rates=ModelLimits(rpm=profile.rpm, tpm=profile.tpm, concurrency=profile.calls_at_once),
            cost=price.cost if price else no_price,
            unpriced=self.unpriced,
            question=self._identity(request, context),
            rank=1,
        )

    async def consult(self, buy: Callable[[SuggestionRequest], Awaitable[Bought]]) -> Proposed:
        """Asks until an answer makes an outline. Of answers that all owe something, the one that
        owes least is taken. Raises ``AuthorError`` where none can be, and whatever ``buy`` does.
        """
        best: Proposed | None = None
        question = SuggestionRequest()
        faults: tuple[str, ...] = ()
        for attempt in range(TRIES):
            question = replace(question, attempt=attempt)
            answer = (await buy(question)).answer
            reading = self._read(answer)
            proposed, faults = self._proposed(reading)
            if proposed is not None and not faults:
                return proposed
            if proposed is not None and (best is None or len(faults) < len(best.findings)):
                best = proposed
            question = replace(
                question,
                cut=question.cut + (answer.finish is Finish.LENGTH),
                present=answer.text[:MOST_MATERIAL] if answer.usable else "",
                problems=faults if answer.usable else (),
            )
        if best is None:
            raise AuthorError(
                f"chapter {self.subject.id}: none of {TRIES} answers makes an outline: "
                f"{faults[0]}; give another --model, or write the sections yourself"
            )
        return best

    def _read(self, answer: Answer) -> Reading:
        if answer.finish is Finish.LENGTH:
            return Reading(faults=("it breaks off; give fewer topics, in fewer words",))
        if not answer.usable:
            said = " ".join(answer.text.split())[:200]
            return Reading(faults=(f"the author refused: {said}" if said else "the author gave no answer",))
        return read_answer(answer.text, self.bounds, self.headings)

    def _proposed(self, reading: Reading) -> tuple[Proposed | None, tuple[str, ...]]:
        """The outline that an answer makes, None where it makes none; and what is wrong with it."""
        if not reading.sections:
            return None, reading.faults
        subject = self.subject
        present = {title_key(title): lines for title, lines in subject.present.items()}
        sections = tuple(
            replace(section, present=present.get(title_key(section.title), 0)) for section in reading.sections
        )
        proposal = scaled(
            tidy(Proposal(id=subject.id, title=subject.title, sections=sections, file=subject.source)),
            lines=self.lines,
        )
        faults = (*reading.faults, *_crowded(proposal.sections))
        total = sum(section.lines or 0 for section in proposal.sections)
        try:
            taken = self.filing.taken(replace(proposal, target=total))
        except InputError as wrong:
            return None, (*faults, f"{wrong.what}; {wrong.remedy}")
        return Proposed(taken=taken, findings=faults), faults

    def _context(self, question: SuggestionRequest) -> SuggestionContext:
        book, how = self.book, self.subject.how
        others = (c for c in book.chapters if c.id != self.subject.id)
        titles = tuple(c.title.say(how.language, book.language) for c in others)
        bounds = self.bounds
        return SuggestionContext(
            language=how.language,
            language_name=LANGUAGE_NAMES.get(how.language, how.language),
            book_title=book.title.say(how.language, book.language),
            audience=book.audience.say(how.language, book.language) if book.audience else "",
            house_rules=tuple(rule.say(how.language, book.language) for rule in book.house_rules),
            chapter_id=self.subject.id,
            chapter_title=self.subject.title,
            lines=self.lines,
            least_sections=bounds.least,
            most_sections=bounds.most,
            other_chapters=titles[:MOST_CHAPTERS],
            headings=self.headings,
            source_material=self.subject.text[:MOST_MATERIAL].strip(),
            present=question.present,
            problems=question.problems,
        )

    def _fitting(self, question: SuggestionRequest, cap: int) -> tuple[SuggestionContext, int, int]:
        """What is said, its tokens and their bound: as much as the context window has room for."""
        means = self.means
        window = means.profile.context_window
        context = self._context(question)
        while True:
            estimate = means.counter.count_messages((means.prompts.suggestion(context),))
            prompt = raised(estimate, means.margin()) + CHAT_SLACK_TOKENS
            if prompt + cap <= window:
                return context, estimate, prompt
            shorter = _shorter(context)
            if shorter == context:
                raise InputError(
                    f"chapter {context.chapter_id}: a prompt of {prompt:,} tokens and {cap:,} of "
                    f"output do not fit {means.profile.name}'s context window of {window:,}",
                    remedy="shorten the house rules, or take a model with a larger one",
                )
            context = shorter

    def _identity(self, request: Request, context: SuggestionContext) -> str:
        """What makes two questions the same: all but which other chapters the book has."""
        asked = self.means.prompts.suggestion(replace(context, other_chapters=())).content
        same = replace(request, messages=(replace(request.messages[0], content=asked),))
        return hashlib.sha256(f"suggest|{self.subject.id}|{same.key}".encode()).hexdigest()


def _crowded(sections: tuple[ProposedSection, ...]) -> tuple[str, ...]:
    return tuple(
        f"section {number} ({section.title}) has {len(section.topics)} topics in {section.lines} "
        "lines; give it fewer topics or more of the lines"
        for number, section in enumerate(sections, 1)
        if len(section.topics) * LINES_A_TOPIC > (section.lines or 0)
    )


def _shorter(context: SuggestionContext) -> SuggestionContext:
    """The context with less of what can be done without, first of what weighs most."""
    if len(context.source_material) + len(context.present) > 200:
        return replace(
            context,
            source_material=context.source_material[: len(context.source_material) // 2],
            present=context.present[: len(context.present) // 2],
        )
    return replace(
        context,
        source_material="",
        present="",
        other_chapters=context.other_chapters[: len(context.other_chapters) // 2],
        house_rules=context.house_rules[: len(context.house_rules) // 2],
    )
