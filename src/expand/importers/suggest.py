"""Has the author model propose a chapter's sections, and writes them as the chapter's outline.

A proposal is bought like every text: reserved, settled, stored, and never bought twice. Its requests are addressed to
section 0, the chapter as a whole. What is wrong with an answer goes back to the model, with three requests at most. The
user sets the chapter's lines: the model only says how the sections share them, and they are scaled to the target here.
However it ends, nothing stays reserved, every answer is in the ledger, and the outline is written whole or not at all.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace

from expand.budget import Balance
from expand.client.client import Bought, BudgetedClient, StoppedError
from expand.drafting.events import Event
from expand.drafting.model_setup import ModelSetup, model_setup_for, profile_of, require_language
from expand.drafting.request_builder import order_of, prompt_bound
from expand.drafting.results import balance_json
from expand.drafting.run_context import ignore_event, open_client, open_ledger
from expand.errors import AuthorError, BudgetExceededError, ExpandError, InputError, Place
from expand.importers.import_run import DEFAULT_LINES
from expand.importers.lengths import Length
from expand.importers.proposal import Proposal, scaled, tidy
from expand.importers.proposal_schema import ParsedAnswer, SectionCount, format_parameters, parse_answer
from expand.importers.target import SuggestionTarget, find_target
from expand.importers.writer import OutlineWriter, WrittenOutline
from expand.ledger import Ledger, Order
from expand.llm.types import Address, Answer, Finish, Request, Usage
from expand.markdown.matching import title_key
from expand.outline import Book, Plan
from expand.outline.lint import LINES_A_TOPIC
from expand.prompts.context import LANGUAGE_NAMES, SuggestionContext
from expand.schema import Json
from expand.settings import Settings, require_author
from expand.workspace import Workspace

MAX_REQUESTS = 3
SECTION = 0
"""The section that a proposal's requests are addressed to: the chapter as a whole."""
TOKENS_PER_SECTION = 160
MIN_OUTPUT_TOKENS = 600
EDITION_STRIDE = 1000
"""Request editions of one ``--fresh`` run: its requests count from a multiple of this."""
MAX_MATERIAL = 12_000
"""Characters of a document, or of the previous answer, that a request shows the model."""
MAX_CHAPTERS = 60


@dataclass(frozen=True, kw_only=True, slots=True)
class SuggestRequest:
    """What the user asks for.

    ``target`` is a chapter's id, a document or a title. ``force`` changes an outline that exists, ``fresh`` asks anew
    where an answer is stored. ``budget_tokens`` limits this run; ``unpriced`` lets a model without a price pass under a
    limit in money."""

    target: str
    id: str | None = None
    lines: int | None = None
    language: str | None = None
    force: bool = False
    fresh: bool = False
    budget_tokens: int | None = None
    unpriced: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class SuggestResult:
    """The outline that was written, and what it cost.

    ``outline`` is None where none was written, for the reason in ``stopped_by``; ``findings`` is what is still wrong
    with the outline. ``usage`` is what the answers cost, now or when they were bought; ``attempts`` were made now."""

    target: SuggestionTarget
    model: str
    outline: WrittenOutline | None
    added_to_book: tuple[str, ...]
    findings: tuple[str, ...]
    attempts: int
    answers: int
    usage: Usage
    balance: Balance
    stopped_by: str = ""
    stop_code: int = 0

    @property
    def exit_code(self) -> int:
        """0; 3 or 4 for what stopped it; 5 for an outline with findings."""
        return self.stop_code or (5 if self.findings else 0)

    def as_json(self) -> dict[str, Json]:
        """Costs and findings, as scripts read them."""
        usage = self.usage
        return {
            "model": self.model,
            "attempts": self.attempts,
            "answers": self.answers,
            "tokens": {"prompt": usage.prompt, "cached": usage.cached, "completion": usage.completion},
            "findings": list(self.findings),
            "stopped_by": self.stopped_by,
            "budget": balance_json(self.balance),
        }


async def suggest(
    workspace: Workspace,
    settings: Settings,
    request: SuggestRequest,
    *,
    on_event: Callable[[Event], None] = ignore_event,
    on_ready: Callable[[BudgetedClient], None] = lambda _: None,
) -> SuggestResult:
    """Buys a proposal and writes the outline. Raises ``InputError`` before anything is sent.

    ``on_ready`` gets the client before the first request, to be able to stop it."""
    book, target = _book_and_target(workspace, settings, request)
    require_author(settings, path=workspace.settings_path)
    async with AsyncExitStack() as stack:
        outlines = {target.id: workspace.outline(target.id)} if target.id in workspace.chapter_ids() else {}
        limited = open_ledger(workspace, book, outlines, budget=request.budget_tokens)
        ledger, run = stack.enter_context(limited)
        suggestion = _suggestion(workspace, settings, request, book, target, ledger)
        if not request.force:
            _refuse_wasted_purchase(workspace, suggestion, ledger, fresh=request.fresh)
        if request.fresh:
            suggestion = replace(suggestion, edition=ledger.raise_edition(target.id, SECTION))
        client, usage = await open_client(stack, workspace, settings, ledger, author=None, on_event=on_event)
        on_ready(client)
        bought: list[Bought] = []
        outline: WrittenOutline | None = None
        findings: tuple[str, ...] = ()
        added_to_book: tuple[str, ...] = ()
        stopped_by: ExpandError | None = None
        try:
            outline, findings = await suggestion.ask(client, run.id, bought)
        except (BudgetExceededError, AuthorError, StoppedError) as error:
            stopped_by = error
        finally:
            await client.drain()
        if outline is not None:
            if not request.force:
                suggestion.writer.refuse_changes([outline])
            added_to_book = suggestion.writer.write([outline])
        return SuggestResult(
            target=target,
            model=suggestion.setup.profile.name,
            outline=outline,
            added_to_book=added_to_book,
            findings=findings,
            attempts=usage.of(target.id, SECTION).attempts,
            answers=len(bought),
            usage=Usage(
                prompt=sum(one.usage.prompt for one in bought),
                completion=sum(one.usage.completion for one in bought),
                cached=sum(one.usage.cached for one in bought),
            ),
            balance=ledger.balance("book"),
            stopped_by=str(stopped_by) if stopped_by else "",
            stop_code=stopped_by.exit_code if stopped_by else 0,
        )


def dry_run(workspace: Workspace, settings: Settings, request: SuggestRequest) -> Order:
    """The order of the first request, which is not sent."""
    book, target = _book_and_target(workspace, settings, request)
    ledger = Ledger.read(workspace.ledger_place)
    try:
        suggestion = _suggestion(workspace, settings, request, book, target, ledger)
        if request.fresh:
            suggestion = replace(suggestion, edition=suggestion.edition + 1)
        return suggestion.order("none")
    finally:
        if ledger:
            ledger.close()


def _book_and_target(
    workspace: Workspace, settings: Settings, request: SuggestRequest
) -> tuple[Book, SuggestionTarget]:
    """The book and the chapter. Refuses a language that the model does not write."""
    book = workspace.book()
    target = find_target(workspace, book, request.target, new_id=request.id, language=request.language)
    require_language(profile_of(workspace, settings), book, target.language.code)
    return book, target


def _suggestion(
    workspace: Workspace,
    settings: Settings,
    request: SuggestRequest,
    book: Book,
    target: SuggestionTarget,
    ledger: Ledger | None,
) -> _Suggestion:
    lines = request.lines or target.target_lines or DEFAULT_LINES
    return _Suggestion(
        target=target,
        book=book,
        setup=model_setup_for(workspace, settings, ledger=ledger),
        writer=OutlineWriter(workspace=workspace, book=book, language=target.language, lines=lines),
        lines=lines,
        edition=ledger.edition(target.id, SECTION) if ledger else 0,
        unpriced=request.unpriced,
    )


def _refuse_wasted_purchase(workspace: Workspace, suggestion: _Suggestion, ledger: Ledger, *, fresh: bool) -> None:
    """Refuses to buy a proposal that would not be written because the chapter has an outline."""
    chapter = suggestion.target.id
    if chapter not in workspace.chapter_ids() or (not fresh and ledger.known(suggestion.order("none"))):
        return
    raise InputError(
        f"the outline exists, and sections proposed for chapter {chapter} would change it",
        remedy="--force changes it in place; comments, and what the proposal does not mention, stay",
        place=Place(path=workspace.relative(workspace.outline_path(chapter))),
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class _Suggestion:
    """The requests for one chapter: ``lines`` is its target; a higher ``edition`` asks anew."""

    target: SuggestionTarget
    book: Book
    setup: ModelSetup
    writer: OutlineWriter
    lines: int
    edition: int
    unpriced: bool

    @property
    def _headings(self) -> tuple[str, ...]:
        return tuple(self.target.present)

    @property
    def _section_count(self) -> SectionCount:
        return SectionCount.of(self.lines, self._headings)

    async def ask(
        self, client: BudgetedClient, run_id: str, bought: list[Bought]
    ) -> tuple[WrittenOutline, tuple[str, ...]]:
        """Asks until an answer makes an outline without findings; else takes the one with the fewest.

        Adds each answer to ``bought``. Raises ``AuthorError`` where none makes an outline, and what ``buy`` raises."""
        best: tuple[WrittenOutline, tuple[str, ...]] | None = None
        findings: tuple[str, ...] = ()
        problems: tuple[str, ...] = ()
        previous, cut = "", 0
        for attempt in range(MAX_REQUESTS):
            order = self.order(run_id, attempt=attempt, cut=cut, previous=previous, problems=problems)
            bought.append(await client.buy(order))
            answer = bought[-1].answer
            outline, findings = self._outline(self._parsed(answer))
            if outline is not None and not findings:
                return outline, ()
            if outline is not None and (best is None or len(findings) < len(best[1])):
                best = outline, findings
            cut += answer.finish is Finish.LENGTH
            previous = answer.text[:MAX_MATERIAL] if answer.usable else ""
            problems = findings if answer.usable else ()
        if best is None:
            raise AuthorError(
                f"chapter {self.target.id}: none of {MAX_REQUESTS} answers makes an outline: {findings[0]}; "
                "give another --model, or write the sections yourself"
            )
        return best

    def order(
        self, run_id: str, *, attempt: int = 0, cut: int = 0, previous: str = "", problems: tuple[str, ...] = ()
    ) -> Order:
        """The order of request number ``attempt``, from 0. Raises ``InputError`` where it does not fit the model.

        ``cut`` counts the answers so far that reached their output cap: each doubles it. ``previous`` is the last
        answer, ``problems`` what is wrong with it."""
        setup, profile = self.setup, self.setup.profile
        cap = profile.reasoning_tokens + max(MIN_OUTPUT_TOKENS, self._section_count.most * TOKENS_PER_SECTION)
        cap = min(profile.max_output_tokens, cap * 2**cut)
        context, estimate = self._fitted(self._context(previous, problems), cap)
        request = Request(
            model=profile.name,
            messages=(setup.prompts.message("suggest.j2", context),),
            max_output_tokens=cap,
            parameters=format_parameters(profile, self._section_count, self.target.title, self._headings),
            edition=self.edition * EDITION_STRIDE + attempt,
        )
        # An answer serves again whichever other chapters the book has got meanwhile.
        alone = replace(request, messages=(setup.prompts.message("suggest.j2", replace(context, other_chapters=())),))
        return order_of(
            request,
            setup,
            address=Address(chapter=self.target.id, section=SECTION, purpose="draft"),
            run_id=run_id,
            language=self.target.language.code,
            plan=Plan.FULL,
            estimate=estimate,
            unpriced=self.unpriced,
            remedy="shorten the house rules, or take a model with a larger one",
            question=hashlib.sha256(f"suggest|{self.target.id}|{alone.key}".encode()).hexdigest(),
        )

    def _parsed(self, answer: Answer) -> ParsedAnswer:
        if answer.finish is Finish.LENGTH:
            return ParsedAnswer(faults=("it breaks off; give fewer topics, in fewer words",))
        if not answer.usable:
            text = " ".join(answer.text.split())[:200]
            return ParsedAnswer(faults=(f"the author refused: {text}" if text else "the author gave no answer",))
        return parse_answer(answer.text, self._section_count, self._headings)

    def _outline(self, parsed: ParsedAnswer) -> tuple[WrittenOutline | None, tuple[str, ...]]:
        """The outline that an answer makes, None where it makes none; and what is wrong with it."""
        if not parsed.sections:
            return None, parsed.faults
        target = self.target
        present = {title_key(title): lines for title, lines in target.present.items()}
        sections = tuple(replace(one, present=present.get(title_key(one.title), 0)) for one in parsed.sections)
        proposal = tidy(Proposal(id=target.id, title=target.title, sections=sections, file=target.source))
        proposal = scaled(proposal, lines=self.lines)
        faults = (
            *parsed.faults,
            *(
                f"section {number} ({section.title}) has {len(section.topics)} topics in {section.length}; give "
                "it fewer topics or more of the lines"
                for number, section in enumerate(proposal.sections, 1)
                if len(section.topics) * LINES_A_TOPIC > (section.length.amount if section.length else 0)
            ),
        )
        total = sum(int(section.length.amount) for section in proposal.sections if section.length)
        try:
            return self.writer.outline_for(replace(proposal, target=Length(total, "lines"))), faults
        except InputError as error:
            return None, (*faults, f"{error.what}; {error.remedy}")

    def _context(self, previous: str, problems: tuple[str, ...]) -> SuggestionContext:
        book, language = self.book, self.target.language.code
        titles = (c.title.say(language, book.language) for c in book.chapters if c.id != self.target.id)
        return SuggestionContext(
            language=language,
            language_name=LANGUAGE_NAMES.get(language, language),
            book_title=book.title.say(language, book.language),
            audience=book.audience.say(language, book.language) if book.audience else "",
            house_rules=tuple(rule.say(language, book.language) for rule in book.house_rules),
            chapter_id=self.target.id,
            chapter_title=self.target.title,
            lines=self.lines,
            least_sections=self._section_count.least,
            most_sections=self._section_count.most,
            other_chapters=tuple(titles)[:MAX_CHAPTERS],
            headings=self._headings,
            source_material=self.target.text[:MAX_MATERIAL].strip(),
            present=previous,
            problems=problems,
        )

    def _fitted(self, context: SuggestionContext, cap: int) -> tuple[SuggestionContext, int]:
        """As much of the context as the window has room for beside ``cap``, and its tokens."""
        window = self.setup.profile.context_window
        while True:
            estimate = self.setup.counter.count_messages((self.setup.prompts.message("suggest.j2", context),))
            prompt = prompt_bound(estimate, self.setup)
            shorter = _shortened(context)
            if prompt + cap <= window or shorter == context:
                return context, estimate
            context = shorter


def _shortened(context: SuggestionContext) -> SuggestionContext:
    """Half of what can be left out: first of the texts shown to the model, then of the lists."""
    material, present = context.source_material, context.present
    if len(material) + len(present) > 200:
        return replace(context, source_material=material[: len(material) // 2], present=present[: len(present) // 2])
    others, rules = context.other_chapters, context.house_rules
    return replace(
        context,
        source_material="",
        present="",
        other_chapters=others[: len(others) // 2],
        house_rules=rules[: len(rules) // 2],
    )
