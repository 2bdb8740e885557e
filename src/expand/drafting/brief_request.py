"""Has the model write a chapter's brief: one request, addressed to section 0, before the sections are drafted.

It is bought like every text: reserved, settled, stored, and never bought twice. An answer that cannot be used goes back
with what is wrong with it, once. A run then drafts without a brief: it makes sections better, and they can do without.
"""

from collections.abc import Callable, Collection
from dataclasses import replace

from expand.client.client import BudgetedClient
from expand.drafting.brief import Brief, parse_brief
from expand.drafting.chapter import Chapter
from expand.drafting.chapter_requests import FIRST, WHOLE, ChapterRequests, Made, Tried, ask, unreadable
from expand.drafting.draft_file import open_chapter
from expand.drafting.events import Event, Notice
from expand.drafting.run_context import RunContext, open_run
from expand.drafting.run_options import RunOptions
from expand.ledger import Ledger, Order
from expand.llm.types import Answer
from expand.markdown import blocks, sanitize
from expand.outline import Plan
from expand.prompts.context import BriefContext, SectionContext
from expand.workspace import Workspace, read_text, write_atomically

MOST_REQUESTS = 2
BASE_TOKENS, TOKENS_PER_SECTION, TOKENS_PER_TOPIC = 1500, 250, 150
"""The output cap of a brief; that of a strong author for 7 sections and 17 topics took 5,000."""
BUDGET_SHARE = 10
"""A run makes a brief by itself only where it can cost at most this part of what is left: with less, sections come
first."""
MOST_MATERIAL = 8_000
"""Characters of the author's own text in a section that the request shows, and of the former answer."""


async def make_brief(context: RunContext, chapter: Chapter, *, note: str = "") -> Made[Brief]:
    """Ask for the chapter's brief and write its file. ``chapter`` is the chapter without one. ``note`` says what is to
    change of the one in the file. Raises ``InputError`` where the request does not fit the model."""
    path = context.workspace.brief_path(chapter.id)
    edition = context.ledger.edition(chapter.id, WHOLE)
    before = read_text(path) if path.is_file() else ""
    made = await ask(
        context,
        lambda tried: brief_order(chapter, context.run_id, edition, tried),
        lambda answer: _read(answer, chapter),
        MOST_REQUESTS,
        first=Tried(said=before, problems=(note,)) if note else FIRST,
    )
    if made.value is not None:
        theirs = (read_text(path) if path.is_file() else "") != before
        if not theirs:
            write_atomically(path, made.value.as_yaml())
        place = context.workspace.relative(path)
        said = f"{place} was written by hand meanwhile, and stays" if theirs else f"the brief is in {place}"
        context.usage.on_event(Notice(message=f"{chapter.id}: {said}"))
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
    cap = BASE_TOKENS
    for section in chapter.outline.sections:
        cap += TOKENS_PER_SECTION + TOKENS_PER_TOPIC * len(section.topics)
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
    setup, options = chapter.setup, chapter.options
    requests = ChapterRequests(
        chapter=chapter.id, purpose="brief", setup=setup, options=options, run_id=run_id, edition=edition
    )
    return requests.order(
        (chapter.system, chapter.prompts.message("brief.j2", mended)),
        output_tokens=cap * 2**tried.cut,
        question=(*words, edition, tried.attempts),
        attempt=tried.attempts,
    )


def _read(answer: Answer, chapter: Chapter) -> tuple[Brief | None, tuple[str, ...]]:
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
