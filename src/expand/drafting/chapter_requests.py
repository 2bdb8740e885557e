"""Requests about a chapter as a whole, addressed to its section 0: its brief, its outline, its translation, the reading
of its draft. What is wrong with an answer goes back to the model, a few times at most.

The brief is asked for here, before the sections are drafted: bought like every text, and never twice. Where no answer
can be used, a run drafts without one: it makes sections better, and they can do without.
"""

import json
import re
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import replace
from typing import Any, Generic, NamedTuple, TypeVar

from expand.client.client import BudgetedClient, StoppedError
from expand.drafting.brief import Brief, parse_brief, written_yaml
from expand.drafting.chapter import Chapter
from expand.drafting.draft_file import open_chapter
from expand.drafting.events import Event
from expand.drafting.request_builder import TRIES_STRIDE, WHOLE, Orders
from expand.drafting.run_context import RunContext, open_run
from expand.drafting.run_options import RunOptions
from expand.errors import AuthorError, BudgetExceededError, ExpandError, InputError
from expand.ledger import Ledger, Order
from expand.llm.types import Answer, Finish
from expand.markdown import blocks, sanitize
from expand.outline import Plan
from expand.prompts.context import BriefContext, SectionContext
from expand.workspace import Workspace, read_text, write_atomically

BRIEF_REQUESTS = 2
BASE_TOKENS, TOKENS_PER_SECTION, TOKENS_PER_TOPIC = 1500, 250, 150
"""The output cap of a brief; that of a strong author for 7 sections and 17 topics took 5,000."""
BUDGET_SHARE = 10
"""A run makes a brief by itself only where it can cost at most this part of what is left: with less, sections come
first."""
MOST_MATERIAL = 8_000
"""Characters of the author's own text in a section that the request shows, and of the former answer."""

T = TypeVar("T")


class Tried(NamedTuple):
    """What a request knows of those before it: how many there were, how many answers reached their output cap, what the
    last usable one said, and what is wrong with that."""

    attempts: int = 0
    cut: int = 0
    said: str = ""
    problems: tuple[str, ...] = ()


FIRST = Tried()


class Made(NamedTuple, Generic[T]):
    """What the best of some answers makes, None for nothing; what is wrong with it; and what ended the asking."""

    value: T | None
    problems: tuple[str, ...] = ()
    stopped_by: ExpandError | None = None


async def ask(
    context: RunContext,
    order: Callable[[Tried], Order],
    read: Callable[[Answer], tuple[T | None, tuple[str, ...]]],
    most: int,
    first: Tried = FIRST,
) -> Made[T]:
    """Ask until an answer is right, ``most`` times at the most, and take the best. ``read`` says what an answer makes,
    None for nothing, and what is wrong with it. Raises ``InputError`` where the first request does not fit."""
    best, tried = Made[T](None), first
    while tried.attempts < most:
        try:
            wanted = order(tried)
            bought = await context.client.buy(wanted)
        except (BudgetExceededError, AuthorError, StoppedError) as error:
            return best._replace(stopped_by=error)
        except InputError:  # with what is wrong it is too long, and what came has to do
            if not tried.attempts:
                raise
            return best
        context.usage.of(wanted.address.chapter, WHOLE).add(bought)
        value, problems = read(bought.answer)
        if best.value is None or (value is not None and len(problems) < len(best.problems)):
            best = Made(value, problems)
        if value is not None and not problems:
            break
        tried = tried._replace(attempts=tried.attempts + 1, cut=tried.cut + (bought.answer.finish is Finish.LENGTH))
        if bought.answer.usable:  # a refusal, sent back, brings another one
            tried = tried._replace(said=bought.answer.text, problems=problems)
    return best


def unreadable(answer: Answer) -> tuple[str, ...]:
    """Why an answer makes nothing, whatever was asked for; () where it may make something."""
    if not answer.usable:
        said = " ".join(answer.text.split())[:200]
        return (f"the author refused: {said}" if said else "the author gave no answer",)
    return ("it breaks off; give fewer topics, in fewer words",) if answer.finish in (Finish.LENGTH, Finish.CUT) else ()


def json_in(answer: str) -> Any:
    """The JSON in an answer: some models wrap it in a fence or in words, or think before it. What they make of it is
    set right: curly quotes and full-width marks where JSON wants its own, and a comma before a bracket that closes.
    Raises ``ValueError``."""
    text, _ = sanitize.bare(answer)
    begun, end = re.search(r"[{\[](?=\s*[\"“”{\[\]}])", text), max(text.rfind("}"), text.rfind("]"))
    text = text[begun.start() : end + 1] if begun and begun.start() < end else text
    try:
        with suppress(ValueError):
            return json.loads(text, strict=False)
        text = re.sub(r"(?<=[{\[,:，：])(\s*)[“”]|[“”](?=\s*[}\],:，：])", r'\1"', text)
        marks = {"，": ",", "：": ":"}
        text = re.sub(r'"(?:\\.|[^"\\])*"|[，：]', lambda found: marks.get(found[0], found[0]), text)
        return json.loads(re.sub(r",(\s*[}\]])", r"\1", text), strict=False)
    except RecursionError as error:
        raise ValueError("nested too deep") from error


async def make_brief(context: RunContext, chapter: Chapter, *, note: str = "") -> Made[Brief]:
    """Ask for the chapter's brief and write its file. ``chapter`` is the chapter without one. ``note`` says what is to
    change of the one in the file. Raises ``InputError`` where the request does not fit the model."""
    path = context.workspace.brief_path(chapter.id)
    edition = context.ledger.edition(chapter.id, WHOLE)
    before = read_text(path) if path.is_file() else ""
    made = await ask(
        context,
        lambda tried: brief_order(chapter, context.run_id, edition, tried),
        lambda answer: _read_brief(answer, chapter),
        BRIEF_REQUESTS,
        first=Tried(said=before, problems=(note,)) if note else FIRST,
    )
    if made.value is not None:
        theirs = (read_text(path) if path.is_file() else "") != before
        if not theirs:
            write_atomically(path, written_yaml(made.value.as_data()))
        place = context.workspace.relative(path)
        said = f"{place} was written by hand meanwhile, and stays" if theirs else f"the brief is in {place}"
        context.usage.tell(chapter.id, WHOLE, said)
    return made


def begun_chapters(ledger: Ledger) -> set[str]:
    """The chapters of which a section has an answer, under any plan."""
    return {chapter for plan in Plan for chapter, section in ledger.bought(plan.value) if section != WHOLE}


def wants_brief(chapter: Chapter, begun: Collection[str]) -> bool:
    """Whether a run makes a brief for the chapter by itself: it has none, the model plans before it writes, and nothing
    is written yet. A brief changes what every section is made from, so a later one would have all bought anew."""
    options = chapter.options
    if chapter.brief is not None or not (options.brief and chapter.setup.profile.brief):
        return False
    return options.fresh or chapter.id not in begun


def brief_order(chapter: Chapter, run_id: str, edition: int = 0, tried: Tried = FIRST) -> Order:
    """The order for a brief; each answer that reached its output cap doubles it. Raises ``InputError`` where it does
    not fit the model's context window."""
    sections = chapter.outline.sections
    cap = BASE_TOKENS + sum(TOKENS_PER_SECTION + TOKENS_PER_TOPIC * len(section.topics) for section in sections)
    context, skeletons = chapter.context, chapter.skeletons.values()
    units = {skeleton.measure.unit for skeleton in skeletons}
    asked = BriefContext(
        chapter_id=chapter.id,
        chapter_title=context.chapter_title,
        language=context.language,
        language_name=context.language_name,
        lines=sum(one.goal for one in skeletons) if len(units) == 1 else chapter.outline.target_lines,
        unit=units.pop() if len(units) == 1 else "lines",
        code_examples=context.code_examples,
        code_language=context.code_language,
        references=chapter.section_references,
        sections=tuple(
            SectionContext(
                number=skeleton.number,
                title=skeleton.title,
                topics=skeleton.topics,
                share=0,
                lines=skeleton.goal,
                unit=skeleton.measure.unit,
                material="\n\n".join((skeleton.lead, *skeleton.material(*range(len(skeleton.topics) or 1)))).strip()[
                    :MOST_MATERIAL
                ],
            )
            for skeleton in skeletons
        ),
    )
    first = chapter.prompts.message("brief.j2", asked)
    # By what is asked, not by the answers before it: a run that was killed finds what it bought.
    words = ("brief", chapter.id, chapter.system.content, first.content, chapter.setup.profile.name)
    mended = replace(asked, present=tried.said[:MOST_MATERIAL], problems=tried.problems)
    return Orders(chapter.setup, chapter.options, run_id).of_chapter(
        (chapter.system, chapter.prompts.message("brief.j2", mended)),
        chapter.id,
        "brief",
        output_tokens=cap * 2**tried.cut,
        question=(*words, edition, tried.attempts),
        edition=edition * TRIES_STRIDE + tried.attempts,
    )


def _read_brief(answer: Answer, chapter: Chapter) -> tuple[Brief | None, tuple[str, ...]]:
    if problems := unreadable(answer):
        return None, problems
    text, _ = sanitize.bare(answer.text)
    fenced = (fence.code for fence in blocks.fences(text) if fence.language in ("", "yaml", "yml", "json"))
    titles = [skeleton.title for skeleton in chapter.skeletons.values()]
    return parse_brief(next(fenced, text), chapter.outline, titles)


async def write_brief(
    workspace: Workspace,
    options: RunOptions,
    *,
    on_event: Callable[[Event], None] = lambda _: None,
    on_ready: Callable[[BudgetedClient], None] = lambda _: None,
) -> Made[Brief]:
    """Have the brief of the only chapter in ``options`` written, in the place of one that there may be; with ``fresh``
    it is bought anew. ``on_ready`` gets the client before the first request. Raises ``InputError`` before anything is
    sent."""
    (chapter_id,) = options.chapters
    settings, options = options.settings(workspace), replace(options, brief=False, read=False)
    async with open_run(workspace, settings, options, on_event=on_event) as context:
        on_ready(context.client)
        chapter = open_chapter(workspace, context.book, chapter_id, options=options, setup=context.setup)
        if options.fresh:
            context.ledger.raise_edition(chapter_id, WHOLE)
        return await make_brief(context, chapter)
