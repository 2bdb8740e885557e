"""Draft one section from its first request to its last: ask, add the answer, learn its length, ask again.

Whatever ends it - the target, the budget, the author, a stop - the text that came is kept.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import zip_longest

from expand.checks import Finding, not_ignored
from expand.checks.finding import Severity, finding
from expand.client.client import HeldError, StoppedError, all_failed
from expand.code_check.chapter_code import CodeCheck, Judged, defined
from expand.drafting.budget_plan import ChapterBound
from expand.drafting.chapter import Chapter
from expand.drafting.length_loop import (
    HEADING_LINES,
    LEAST_LINES,
    MOST_LOOPS,
    STRONG_LEAST_LINES,
    Ask,
    LengthLoop,
    delivery_ratio,
    expected_ratio,
    gives_up,
)
from expand.drafting.model_setup import spent_on_thinking
from expand.drafting.request_builder import RequestBuilder
from expand.drafting.run_context import RunContext
from expand.drafting.section_state import SectionCheck
from expand.drafting.section_text import TERMINALS, SectionText
from expand.errors import AuthorError, BudgetExceededError, ExpandError, InputError
from expand.ledger import Order, StoredAnswer
from expand.llm.types import Answer, Finish, Purpose
from expand.markdown import blocks, sanitize
from expand.references.citations import cited_marks
from expand.settings import ModelRole

MOST_PROBLEMS = 20
"""So many faults of a topic are named in the request for its repair."""
CODE_REPAIRS = 2
"""How often the refused code blocks of a topic are asked for anew."""
OTHER_REPAIRS = 2
"""The ordinals of code repairs begin here: those of a text and of a condensed section are below."""
MOST_BESIDE = 6_000
"""Characters of other blocks that a request for a repair of code shows: some 150 lines."""
MOST_OVER = 1.15
"""A section of so many times its lines is sent back once, to be condensed."""
LEAST_PROSE = 0.25
"""But not where its code would leave less than this share of them for text."""
UNUSABLE_TRIES = 2
"""How often one request is made when the answers cannot be used: empty, refused, filtered. Every try is paid for, and
what came twice comes a third time."""


class BoundReachedError(ExpandError):
    """A further request could take the section over its bound."""


@dataclass(eq=False)
class SectionRun:
    """One section being drafted, as its check found it. ``texts`` are the chapter's sections as they stand by now:
    ``code`` judges its code blocks among theirs, None where nobody wants it."""

    context: RunContext
    chapter: Chapter
    check: SectionCheck
    texts: Mapping[int, str] = field(default_factory=dict)
    code: CodeCheck | None = None
    notes: list[Finding] = field(default_factory=list)
    """What the run alone can tell of the section."""

    def __post_init__(self) -> None:
        context, chapter, check = self.context, self.chapter, self.check
        self._section = check.section
        self._every: tuple[Judged, ...] = ()
        """What was judged last, of all of the chapter."""
        self.text = check.text(chapter)
        self._counter = context.usage.of(chapter.id, check.section.number)
        self._bound = context.bounds.setdefault(chapter.id, ChapterBound())
        self._bound.begin(chapter, check)

    def _builders(self, role: ModelRole) -> list[RequestBuilder]:
        """The requests as each model of a role is asked, the one that is meant first."""
        context, setups = self.context, self.context.models_for(role)
        if role == "repair":  # a small model that fills in forms cannot rewrite a text
            setups = tuple(setup for setup in setups if not setup.profile.aspects)
        return [RequestBuilder(self.chapter, self.check, context.run_id, one, context.thinking) for one in setups]

    async def draft(self) -> ExpandError | None:
        """Ask until the section is done, or until something ends it, and return that; its ``text`` is what came."""
        ended_by: ExpandError | None = None
        number = self._section.number
        try:
            if not self.check.begun.whole:
                await self._reach_length()
                await self._condense()
                await self._repair()
                await self._repair_code(package=False)
        except (BudgetExceededError, StoppedError, AuthorError) as error:
            ended_by = error
        # A request that cannot be made: it does not fit the model, or its template fails for just these values. What
        # the section has is kept, and the other sections go on.
        except InputError as error:
            ended_by = error
            self.notes.append(_not_asked(number, error))
        except BoundReachedError as error:
            self.notes.append(finding("over-plan", number, 1, str(error)))
        self.notes += self._end_notes(ended_by)
        return ended_by

    async def mend_package(self) -> None:
        """Have refused blocks of the chapter's package written anew, once all sections are done. Whatever prevents
        that, the section is as whole as it was."""
        with suppress(BudgetExceededError, StoppedError, AuthorError):
            await self._repair_code(package=True)

    def _end_notes(self, ended_by: ExpandError | None) -> list[Finding]:
        """What the run alone can tell of the section's text: what was taken off, and where it is still cut."""
        number = self._section.number
        found = []
        for what, size in sorted(self.text.removed.items()):
            kind = "forbidden-character" if what == "forbidden characters" else "left-off"
            message = f"{what} of {size:,} characters taken off the answers; the ledger has them as they came"
            remedy = "if you miss text, look at the answers with `expand ledger export`"
            found.append(finding(kind, number, 1, message, severity="note", remedy=remedy))
        found += _doubtful(number, self.text.render(), self.text.doubts)
        is_cut = ended_by is None and any(self.text.cut)
        if is_cut and not {one.kind for one in self._findings(self.text)} & {"cut", "open-fence"}:
            topics = self.text.skeleton.topics
            where = f" on {topics[self.text.cut.index(True)]}" if topics else ""
            found.append(finding("cut", number, 1, f"the text{where} was cut, and what was asked for did not end it"))
        if loops := self.text.loops:  # the lines at which they were cut off
            times = f"{len(loops)} answers" if len(loops) > 1 else "an answer"
            stopped = ", and nothing more was asked for" if len(loops) >= MOST_LOOPS else ""
            message = f"{times} of the model repeated the same without end; the repetition was left out{stopped}"
            remedy = "read what stands there; draft the section anew with --fresh --section, or take another model"
            found.append(finding("repeats", number, loops[0], message, remedy=remedy, mendable=False))
        return found

    async def _reach_length(self) -> None:
        purpose: Purpose = "revise" if self.check.revision.instruction else "draft"
        profile = self.chapter.setup.profile
        expected = expected_ratio(self.context.delivered)
        loop = LengthLoop(self.text, profile, first_purpose=purpose, expected_ratio=expected)
        while (ask := loop.next()) is not None:
            answer = await self._usable(ask)
            loops, grown, cut = len(self.text.loops), 0, False
            if answer is not None:
                grown = self.text.add(answer.text, answer.finish, ask.slots)
                # How long an answer is whose connection broke, or that repeated itself without end, says nothing of how
                # much the model delivers.
                cut = answer.finish is Finish.CUT or len(self.text.loops) > loops
            self._show()
            loop.record(ask, grown, cut=cut)
            if ask.purpose == purpose and not cut and profile.brief:
                self.context.delivered.append(loop.outcomes[-1])

    async def _usable(self, ask: Ask) -> Answer | None:
        """A usable answer, or None with a note of why there is none.

        What one model does not answer, for whatever reason but the budget, the next one is asked. Raises what keeps the
        last of them from answering, and ``BoundReachedError`` when one more answer could cost too much."""
        models = self._builders("repair" if ask.purpose == "repair" else "draft")
        failures: list[tuple[str, ExpandError]] = []
        attempt = 0
        why = EMPTY
        for requests, following in zip_longest(models, models[1:]):
            reason, tries = "", 0
            try:
                while tries < UNUSABLE_TRIES:
                    bought, cap = await self._bought(requests, ask, attempt)
                    reason = _unusable(bought.answer)
                    if not reason:
                        self.context.thinking.in_vain[requests.model] = 0
                        return bought.answer
                    why = reason
                    self._show()
                    attempt += 1
                    if why == THOUGHT:
                        self._give_room(requests, ask, attempt, bought, cap)
                        continue
                    tries += 1
                    if following is not None and why != EMPTY:
                        break  # the same words get the same verdict, and another model can be asked
            # An outcome that somebody is to settle first is no reason to buy the same elsewhere.
            except HeldError:
                raise
            except (AuthorError, InputError) as error:
                if len(models) == 1 or (isinstance(error, InputError) and requests is models[0]):
                    raise
                failures.append((requests.model, error))
                reason = str(error)
            if following is not None and (requests.model, following.model) not in self.context.replaced:
                self.context.replaced[requests.model, following.model] = reason
                self.context.usage.tell(
                    self.chapter.id, self._section.number, f"{following.model} stands in for {requests.model}: {reason}"
                )
        if failures:
            raise all_failed(failures)
        topics = self.text.skeleton.topics
        about = f" on {'; '.join(topics[slot] for slot in ask.slots)}" if topics else ""
        message = f"{why}{about}, {attempt} times"
        remedy = "change the topic's wording or the model, or write it by hand"
        kind = "refusal" if why in (REFUSED, FILTERED) else "empty"
        self.notes.append(finding(kind, self._section.number, 1, message, remedy=remedy, mendable=False))
        return None

    async def _bought(self, requests: RequestBuilder, ask: Ask, attempt: int) -> tuple[StoredAnswer, int]:
        """The answer to a request, and the output cap that it was asked with. With less left in the budget it is sent
        with a lower one: caps are set at several times what the lines take."""

        def order(left: Mapping[str, int]) -> Order:
            return requests.order(ask, self.text, attempt=attempt, left=left)

        placed, bound, number = order({}), self._bound, self._section.number
        if self.context.ledger.known(placed) is None:  # an answer that is there may always be taken
            if self.context.thinking.gave_up(requests.model):
                raise AuthorError(_only_thinking(requests.model, placed.request.max_output_tokens))
            if not bound.allows(number, placed):
                placed = order({"tokens": bound.room(number)})
                if not bound.allows(number, placed):
                    raise BoundReachedError(
                        f"nothing more was asked for: its answers took {bound.spent[number]:,} tokens, one more may "
                        f"take {placed.amount.tokens:,}, and the bound of its chapter leaves the section less"
                    )
        left: Mapping[str, int] = {}
        try:
            bought = await self._buy(placed)
        except BudgetExceededError:
            left = self.context.left(self.chapter.id)
            smaller = order(left)
            if smaller.amount.tokens >= placed.amount.tokens:
                raise
            placed = smaller
            bought = await self._buy(placed)
        self._counter.add(bought)
        bound.add(number, bought.usage.total)
        cap = placed.request.max_output_tokens
        if left and _unusable(bought.answer) == THOUGHT:  # nothing is left for a higher cap
            raise AuthorError(_only_thinking(requests.model, cap))
        return bought, cap

    async def _buy(self, order: Order) -> StoredAnswer:
        return await self.context.client.buy(order)  # a batch collects the order in its place

    def _give_room(self, requests: RequestBuilder, ask: Ask, attempt: int, bought: StoredAnswer, cap: int) -> None:
        """Give the next try a higher output cap than ``cap``, which was spent on thinking. Raises ``AuthorError``."""

        def next_cap() -> int:
            return requests.order(ask, self.text, attempt=attempt).request.max_output_tokens

        # An answer from before the caps were raised, in the profile or for the run: its question is still open.
        if (bought.reused and bought.usage.completion < cap) or next_cap() > cap:
            return
        thinking = self.context.thinking
        if not thinking.give(requests.profile, cap) or next_cap() <= cap:
            thinking.in_vain[requests.model] += 1
            raise AuthorError(_only_thinking(requests.model, cap))
        said = f"{requests.model} spent its {cap:,} output tokens on thinking; asking once more with {next_cap():,}"
        self.context.usage.tell(self.chapter.id, self._section.number, said)

    async def _condense(self) -> None:
        """Have a section of a strong model that runs far over written once more in its lines; keep what is better and
        has all topics and examples."""
        lines, have = self._section.lines, self.text.lines
        profile, measure = self.chapter.setup.profile, self.text.skeleton.measure
        if not profile.brief or have <= MOST_OVER * lines or lines > profile.lines_per_request:
            return
        # The model sees and writes its own text alone: the section's heading, opening and author's text stand besides.
        several, over = len(self.text.slots) > 1 and measure.unit == "lines", have - lines
        shown = have - self.text.base_lines + HEADING_LINES * len(self.text.slots) * several
        code = sum(measure.effective(fence.text) for body in self.text.bodies for fence in blocks.fences(body))
        if shown - over - code < LEAST_PROSE * (shown - over):
            return  # its code has to stay, and leaves too little for the rest
        now, then = measure.stated(shown), measure.stated(shown - over)
        problem = (
            f"it has {now:,} {measure.unit} where {then:,} are wanted; say the same in fewer words, and keep the "
            "heading line of each topic, every code example, citation and fact"
        )
        # A model that wrote half as much again as it was asked for does so again.
        fewer = max(STRONG_LEAST_LINES, round((shown - over) / delivery_ratio(self.context.delivered)))
        ask = Ask(purpose="repair", slots=(*self.text.slots,), lines=fewer, ordinal=1, problems=(problem,))
        await self._improve(ask, whole=True)

    async def _improve(self, ask: Ask, *, whole: bool = False) -> None:
        """Ask for other text on topics, and keep the better one; a ``whole`` section's only with all that it has."""
        answer = await self._usable(ask)
        if answer is None:
            return
        text = self.text.replaced(ask.slots, answer.text, answer.finish)
        self.text.loops = text.loops
        complete = (
            not any(text.cut)
            and all(body.strip() for body in text.bodies)
            and cited_marks(text.render()) >= cited_marks(self.text.render())
            and _fences(text) >= _fences(self.text)
        )
        if (complete or not whole) and self._misses(text) < self._misses(self.text):
            self.text = text
        self._show()

    async def _repair(self) -> None:
        """Ask for one repair for each topic with faults that a model can mend; keep the better text."""
        if not self._builders("repair"):
            return
        for slot, problems in self._faults().items():
            if gives_up(self.text):
                return
            lines = max(LEAST_LINES, self.text.body_lines(slot))
            ask = Ask(purpose="repair", slots=(slot,), lines=lines, ordinal=0, problems=problems)
            try:
                await self._improve(ask)
            except InputError as error:  # without the repair the section is as whole as it was
                self.notes.append(_not_asked(self._section.number, error, severity="warning"))
                return

    async def _repair_code(self, *, package: bool) -> None:
        """Have the code blocks written anew that their toolchains refuse, those of the chapter's package or all others:
        those of a topic in one request, as often as ``CODE_REPAIRS`` says. A block takes the place of another only if
        it compiles, or has fewer errors."""
        if self.code is None or not self._builders("repair"):
            return
        first = OTHER_REPAIRS + package * CODE_REPAIRS
        for ordinal in range(first, first + CODE_REPAIRS):
            for slot, found in (await self._judged(self.code, self.text)).items():
                failed = {n: one for n, one in enumerate(found) if one and one.failed and one.in_package == package}
                if not failed:
                    continue
                fences = blocks.fences(self.text.bodies[slot])
                shown = "\n\n".join(fences[number].text for number in failed) + "\n"
                problems = self._code_problems(failed)[-MOST_PROBLEMS:]
                lines = max(LEAST_LINES, shown.count("\n"))
                ask = Ask(purpose="repair", slots=(slot,), lines=lines, ordinal=ordinal, problems=problems, code=shown)
                try:
                    answer = await self._usable(ask)
                except (InputError, BoundReachedError):  # without the repair the section is as whole as it was
                    return
                if answer is not None:
                    self.text = await self._with_code(self.code, slot, failed, answer.text)
                    self._show()

    def _code_problems(self, failed: Mapping[int, Judged]) -> tuple[str, ...]:
        """What is wrong with refused blocks, and the blocks of their package in which the cure may lie: the manifest,
        and those that define what the errors and their lines name."""
        lines = {(one.block.section, one.block.line) for one in failed.values()}
        named = {word for one in failed.values() for word in one.words}
        beside, room = [], MOST_BESIDE
        for one in self._every if any(one.in_package for one in failed.values()) else ():
            block = one.block
            is_near = block.name.endswith("Cargo.toml") or named & defined(block)
            if block.name and is_near and (block.section, block.line) not in lines and len(block.code) <= room:
                room -= len(block.code)
                beside.append(f"for your information, {block.name} in section {block.section}:\n{block.code.strip()}")
        return (*(one.finding.message for one in failed.values()), *beside)

    async def _with_code(self, code: CodeCheck, slot: int, failed: Mapping[int, Judged], answer: str) -> SectionText:
        """The text with what an answer mends. An answer may hold the refused blocks, or all of the topic's."""
        text, written = self.text, [fence.code for fence in blocks.fences(sanitize.bare(answer)[0])]
        if len(written) == len(blocks.fences(text.bodies[slot])):
            written = [written[number] for number in failed]
        if len(written) != len(failed):
            return text
        for (number, former), block in zip(failed.items(), written, strict=True):
            tried = text.with_code(slot, number, block)
            now = (await self._judged(code, tried))[slot][number]
            errors = len(now.verdict.errors) if now else 0
            if (now and now.verdict.state == "passed") or 0 < errors < len(former.verdict.errors):
                text = tried
        return text

    async def _judged(self, code: CodeCheck, text: SectionText) -> dict[int, list[Judged | None]]:
        """What became of each fence of each topic, in order; None for what is no code."""
        whole, number = text.render(), self._section.number
        texts = {**self.texts, number: whole}
        self._every = (await asyncio.to_thread(code.judge, texts)).judged  # compilers take seconds; others go on
        judged = {one.block.line: one for one in self._every if one.block.section == number}
        failed = {line: one.finding for line, one in judged.items() if one.failed}
        wanted = not_ignored(failed.values(), {number: whole}, self.chapter.ignored)
        judged = {line: one for line, one in judged.items() if line not in failed or failed[line] in wanted}
        starts = [fence.start + 1 for fence in blocks.fences(whole)]
        return {slot: [judged.get(line) for line in starts if line in lines] for slot, lines in text.spans().items()}

    def _faults(self) -> dict[int, tuple[str, ...]]:
        """What a model could mend, by topic."""
        found: dict[int, list[str]] = {}
        spans, begun = self.text.spans(), self.check.begun.bodies
        for one in self._findings(self.text):
            slot = next((slot for slot, span in spans.items() if one.line in span), None)
            judged = one.kind == "broken-code" and self.code is not None  # by its toolchain
            if slot is None or not one.mendable or one.severity == "note" or judged:
                continue
            # A text that the section went on from was mended as far as could be.
            if not begun or not begun[slot].strip() or self.text.bodies[slot] != begun[slot]:
                found.setdefault(slot, []).append(f"{one.message}; {one.remedy}")
        return {slot: tuple(problems[:MOST_PROBLEMS]) for slot, problems in sorted(found.items())}

    def _misses(self, text: SectionText) -> tuple[int, int, float]:
        """How far a text is from its contract: blocking findings, warnings, share of lines off."""
        severities = [finding.severity for finding in self._findings(text)]
        return severities.count("blocking"), severities.count("warning"), abs(text.lines / self._section.lines - 1)

    def _findings(self, text: SectionText) -> tuple[Finding, ...]:
        return self.chapter.check(self._section, text.render())

    def _show(self) -> None:
        """Tell how far the section is."""
        self._counter.lines, self._counter.streamed_lines = self.text.lines, 0
        self.context.usage.show(self.chapter.id, self._section.number)


def _fences(text: SectionText) -> int:
    """How many code blocks the model wrote."""
    return sum(block.kind == "fence" for body in text.bodies for block in blocks.blocks(body))


def _doubtful(section: int, text: str, doubts: Sequence[tuple[str, str]]) -> list[Finding]:
    """A finding for each place where a continuation may not fit the text that was cut, as far as it stands there."""
    found = []
    for end, start in doubts:
        if (at := text.find(start.strip())) >= 0:
            broken = text[:at].endswith("\n") and not (end[-1].isspace() or end.endswith(TERMINALS))
            message = f"an answer was cut here, and the next one may not fit: …{' '.join((end + '|' + start).split())}…"
            line, remedy = text.count("\n", 0, at) + 1, "read the place, and correct it where it needs it"
            severity: Severity = "warning" if broken else "note"
            found.append(finding("cut", section, line, message, severity=severity, remedy=remedy))
    return found


def _not_asked(section: int, error: InputError, *, severity: Severity = "blocking") -> Finding:
    """The finding for a request that could not be made."""
    message = f"{error.place}: {error.what}" if error.place else error.what
    return finding("not-asked", section, 1, message, severity=severity, remedy=error.remedy, mendable=False)


REFUSED, FILTERED = "the model refused to write", "the provider's content filter held back the text"
THOUGHT, EMPTY = "the model spent its output on thinking", "the model answered without any text"


def _unusable(answer: Answer) -> str:
    """Why an answer cannot go into a draft, "" where it can."""
    if answer.finish is Finish.REFUSAL:
        return REFUSED
    if answer.finish is Finish.CONTENT_FILTER:
        return FILTERED
    text, removed = sanitize.bare(answer.text)
    if text.strip():
        return ""
    return THOUGHT if spent_on_thinking(answer, any(piece.what == "thinking" for piece in removed)) else EMPTY


def _only_thinking(model: str, cap: int) -> str:
    """The message for a model that never comes to writing."""
    return (
        f"{model} spent its output of {cap:,} tokens on thinking and wrote no text; set reasoning_tokens and "
        f'max_output_tokens under [models."{model}"] in expand.toml, lower its reasoning effort, or take another model'
    )
