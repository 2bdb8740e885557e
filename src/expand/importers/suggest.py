"""Has the author model propose a chapter's sections, and writes them as the chapter's outline.

A proposal is bought like every text: reserved, settled, stored, and never bought twice. Its requests are addressed to
section 0, the chapter as a whole. What is wrong with an answer goes back to the model, with three requests at most. The
user sets the chapter's lines: the model only says how the sections share them, and they are scaled to the target here.
However it ends, nothing stays reserved, every answer is in the ledger, and the outline is written whole or not at all.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from expand.budget import Balance
from expand.client.client import BudgetedClient
from expand.drafting.chapter_requests import FIRST, WHOLE, ChapterRequests, Made, Tried, ask, unreadable
from expand.drafting.dry_run import FirstRequest
from expand.drafting.events import Event
from expand.drafting.model_setup import ModelSetup, model_setup_for, profile_of, require_language
from expand.drafting.results import balance_json
from expand.drafting.run_context import RunContext, UsageCounter, open_run
from expand.drafting.run_options import RunOptions
from expand.errors import AuthorError, ExpandError, InputError, Place
from expand.importers.documents import id_of_file, read_headings
from expand.importers.import_run import (
    DEFAULT_LINES,
    ImportRequest,
    ImportResult,
    KnownChapters,
    OutlineWriter,
    WrittenOutline,
    next_id,
    outline_language,
    path_inside,
    require_id,
)
from expand.importers.lengths import Length
from expand.importers.proposal import Proposal, scaled, tidy
from expand.importers.proposal_schema import SectionCount, format_parameters, parse_answer
from expand.ledger import Ledger, Order
from expand.llm.types import Answer
from expand.markdown.matching import title_key
from expand.outline import Book
from expand.outline.lint import LINES_A_TOPIC
from expand.prompts.context import LANGUAGE_NAMES, SuggestionContext
from expand.schema import Json
from expand.settings import Settings
from expand.workspace import Workspace, read_text

MAX_REQUESTS = 3
TOKENS_PER_SECTION = 160
MIN_OUTPUT_TOKENS = 600
MAX_MATERIAL = 12_000
"""Characters of a document, or of the previous answer, that a request shows the model."""
MAX_CHAPTERS = 60


@dataclass(frozen=True, kw_only=True, slots=True)
class SuggestResult:
    """What was ``written``, and what it cost.

    ``written`` is None where nothing was, because of ``stopped_by``; ``findings`` is what is still wrong with the
    outline."""

    model: str
    written: ImportResult | None
    findings: tuple[str, ...]
    usage: UsageCounter
    balance: Balance
    stopped_by: ExpandError | None

    @property
    def exit_code(self) -> int:
        """0; 3 or 4 for what stopped it; 5 for an outline with findings."""
        return self.stopped_by.exit_code if self.stopped_by else 5 if self.findings else 0

    def as_json(self) -> dict[str, Json]:
        """Costs and findings, as scripts read them."""
        return {
            "model": self.model,
            **self.usage.as_json(),
            "findings": list(self.findings),
            "stopped_by": str(self.stopped_by or ""),
            "budget": balance_json(self.balance),
        }


async def suggest(
    workspace: Workspace,
    settings: Settings,
    title: str,
    request: ImportRequest,
    options: RunOptions,
    *,
    on_event: Callable[[Event], None] = lambda _: None,
    on_ready: Callable[[BudgetedClient], None] = lambda _: None,
) -> SuggestResult:
    """Buys a proposal for the chapter of a ``title``, id or document, and writes the outline; ``request`` says what
    else is wanted of it. Raises ``InputError`` before anything is sent.

    ``on_ready`` gets the client before the first request, to be able to stop it."""
    suggestion = _Suggestion(workspace, title, request, options)
    chapter, fresh = suggestion.target.id, suggestion.options.fresh
    outlines = {chapter: workspace.outline(chapter)} if workspace.outline_path(chapter).is_file() else {}
    opening = open_run(workspace, settings, suggestion.options, on_event=on_event, outlines=outlines)
    async with opening as context:
        ledger = context.ledger
        first = suggestion.order(context.setup, context.run_id, ledger.edition(chapter, WHOLE))
        if outlines and not request.force and (fresh or not ledger.known(first)):
            raise InputError(
                f"the outline exists, and sections proposed for chapter {chapter} would change it",
                remedy="--force changes it in place; comments, and what the proposal does not mention, stay",
                place=Place(path=workspace.relative(workspace.outline_path(chapter))),
            )
        on_ready(context.client)
        made = await suggestion.ask(context)
        written: ImportResult | None = None
        if made.value is not None and made.stopped_by is None:
            written = suggestion.writer.write([made.value], force=request.force)
        return SuggestResult(
            model=context.setup.profile.name,
            written=written,
            findings=made.problems if written else (),
            usage=context.usage.of(chapter, WHOLE),
            balance=ledger.balance("book"),
            stopped_by=made.stopped_by,
        )


def dry_run(
    workspace: Workspace, settings: Settings, title: str, request: ImportRequest, options: RunOptions
) -> FirstRequest:
    """The first request, which is not sent."""
    suggestion = _Suggestion(workspace, title, request, options)
    require_language(profile_of(workspace, settings), workspace.book(), suggestion.options.language)
    ledger = Ledger.read(workspace.ledger_place)
    try:
        setup = model_setup_for(workspace, settings, ledger=ledger)
        edition = ledger.edition(suggestion.target.id, WHOLE) if ledger else 0
        return FirstRequest.of(suggestion.order(setup, "none", edition + options.fresh), setup)
    finally:
        if ledger:
            ledger.close()


# The chapter that gets sections.


def _target(workspace: Workspace, book: Book, wanted: str, request: ImportRequest) -> Proposal:
    """The chapter that is meant, by its id, its document, its title, or a new title, with what outline, book and
    document say of it: ``file`` is its document from the workspace's root, ``target`` what is stated for it, and its
    sections are those of the document. Raises ``InputError``."""
    wanted = " ".join(wanted.split())
    if not wanted:
        raise InputError("the title is empty", remedy="give a chapter's title, id or document")
    document, source, known = Path(wanted), None, KnownChapters(workspace)
    found = wanted if wanted in known.ids else known.by_title.get(title_key(wanted))
    if found is None and document.is_file():
        source = path_inside(workspace, document)
        if source is None:
            raise InputError(
                "it lies outside the workspace",
                remedy=f"copy it below {workspace.root}, or give its title in words",
                place=Place(path=document),
            )
        found = known.by_source.get(source)
    elif found is None and document.suffix.lower() in (".md", ".markdown"):
        raise InputError(
            "there is no such file", remedy="name a document, or give a title in words", place=Place(path=document)
        )
    if found is not None and request.id not in (None, found):
        raise InputError(f"{source or repr(wanted)} is chapter {found} already", remedy=f"leave --id {request.id} out")
    if found is None and request.id is not None:
        require_id(request.id)
    chapter = found or request.id or (id_of_file(source) if source else next_id([*known.ids], wanted))
    title = read_headings(read_text(document), file=source).title if source else wanted
    entry = next((one for one in book.chapters if one.id == chapter), None)
    outline = workspace.outline(chapter) if chapter in workspace.chapter_ids() else None
    named = outline or entry
    if found is not None and named is not None:
        title = named.title.say(request.language or book.language, book.language)
    lines = (outline.stated_lines if outline else None) or (entry.target_lines if entry else None)
    source = outline.source if outline else source or (entry.source if entry else None)
    read = read_headings(_text_of(workspace, source), file=source or f"{chapter}.md", chapter=chapter)
    # A document without headings counts as one section without lines: nothing of it has to be kept.
    sections = tuple(section for section in read.sections if section.present)
    stated = Length(lines, "lines") if lines else read.target
    return replace(read, title=title, sections=sections, file=source, target=stated)


def _text_of(workspace: Workspace, source: str | None) -> str:
    path = workspace.source_path(source) if source else None
    return read_text(path) if path and path.is_file() else ""


# Its requests.


class _Suggestion:
    """The requests for one chapter."""

    def __init__(self, workspace: Workspace, title: str, request: ImportRequest, options: RunOptions) -> None:
        book = workspace.book()
        self.target = target = _target(workspace, book, title, request)
        language = outline_language(target.title, book, request.language)
        self.options = replace(options, language=language.code, brief=False, read=False)
        self._lines = request.lines or target.target_lines or DEFAULT_LINES
        self._headings = tuple(section.title for section in target.sections)
        self._count = SectionCount.of(self._lines, self._headings)
        self.writer = OutlineWriter(workspace=workspace, book=book, language=language, lines=self._lines)
        self._context = self._context_of(book, _text_of(workspace, target.file))

    async def ask(self, run: RunContext) -> Made[WrittenOutline]:
        """Asks until an answer makes an outline without findings; else takes the one with the fewest."""
        edition = (run.ledger.raise_edition if self.options.fresh else run.ledger.edition)(self.target.id, WHOLE)
        made = await ask(run, lambda tried: self.order(run.setup, run.run_id, edition, tried), self._read, MAX_REQUESTS)
        if made.value is None and made.stopped_by is None:
            error = AuthorError(
                f"chapter {self.target.id}: none of {MAX_REQUESTS} answers makes an outline: {made.problems[0]}; "
                "give another --model, or write the sections yourself"
            )
            return made._replace(stopped_by=error)
        return made

    def order(self, setup: ModelSetup, run_id: str, edition: int, tried: Tried = FIRST) -> Order:
        """The order for a proposal; a higher ``edition`` asks anew, and each answer that reached its output cap doubles
        it. Raises ``InputError`` where it does not fit the model."""
        context, chapter = self._context, self.target.id
        thinking = setup.profile.reasoning_tokens
        cap = thinking + max(MIN_OUTPUT_TOKENS, self._count.most * TOKENS_PER_SECTION)
        context = replace(context, present=tried.said[:MAX_MATERIAL], problems=tried.problems)
        # An answer serves again whichever other chapters the book has got meanwhile.
        alone = setup.prompts.message("suggest.j2", replace(context, other_chapters=())).content
        words = ("suggest", chapter, alone, setup.profile.name, edition, tried.attempts, tried.cut)
        requests = ChapterRequests(
            chapter=chapter, purpose="draft", setup=setup, options=self.options, run_id=run_id, edition=edition
        )

        def order_with(context: SuggestionContext) -> Order:
            return requests.order(
                (setup.prompts.message("suggest.j2", context),),
                output_tokens=cap * 2**tried.cut - thinking,
                question=words,
                attempt=tried.attempts,
                parameters=format_parameters(setup.profile, self._count, self.target.title, self._headings),
            )

        try:
            return order_with(context)
        except InputError:  # it does not fit: once more without what can be left out
            return order_with(replace(context, source_material="", present="", other_chapters=()))

    def _read(self, answer: Answer) -> tuple[WrittenOutline | None, tuple[str, ...]]:
        """The outline that an answer makes, None where it makes none; and what is wrong with it."""
        if problems := unreadable(answer):
            return None, problems
        parsed = parse_answer(answer.text, self._count, self._headings)
        if not parsed.sections:
            return None, parsed.faults
        present = {title_key(section.title): section.present for section in self.target.sections}
        sections = tuple(replace(one, present=present.get(title_key(one.title), 0)) for one in parsed.sections)
        proposal = scaled(tidy(replace(self.target, sections=sections)), lines=self._lines)
        lines = [int(section.length.amount) if section.length else 0 for section in proposal.sections]
        faults = [
            f"section {number} ({section.title}) has {len(section.topics)} topics in {section.length}; give it fewer "
            "topics or more of the lines"
            for number, section in enumerate(proposal.sections, 1)
            if len(section.topics) * LINES_A_TOPIC > lines[number - 1]
        ]
        try:
            outline = self.writer.outline_for(replace(proposal, target=Length(sum(lines), "lines")))
        except InputError as error:
            return None, (*parsed.faults, *faults, f"{error.what}; {error.remedy}")
        return outline, (*parsed.faults, *faults)

    def _context_of(self, book: Book, text: str) -> SuggestionContext:
        language = self.options.language
        titles = (c.title.say(language, book.language) for c in book.chapters if c.id != self.target.id)
        return SuggestionContext(
            language=language,
            language_name=LANGUAGE_NAMES.get(language, language),
            book_title=book.title.say(language, book.language),
            audience=book.audience.say(language, book.language) if book.audience else "",
            house_rules=tuple(rule.say(language, book.language) for rule in book.house_rules),
            chapter_id=self.target.id,
            chapter_title=self.target.title,
            lines=self._lines,
            least_sections=self._count.least,
            most_sections=self._count.most,
            other_chapters=tuple(titles)[:MAX_CHAPTERS],
            headings=self._headings,
            source_material=text[:MAX_MATERIAL].strip(),
            present="",
            problems=(),
        )
