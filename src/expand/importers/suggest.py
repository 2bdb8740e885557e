"""Has the author model propose a chapter's sections, and writes them as the chapter's outline.

A proposal is bought like every text: reserved, settled, stored, and never bought twice. Its requests are addressed to
section 0, the chapter as a whole. What is wrong with an answer goes back to the model, with three requests at most. The
user sets the chapter's lines: the model only says how the sections share them, and they are scaled to the target here.
However it ends, nothing stays reserved, every answer is in the ledger, and the outline is written whole or not at all.

An answer is JSON. A schema enforces it where the provider takes one, and the prompt alone elsewhere. It is checked in
any case. A model that can only fill in forms is not asked.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple, Self

from expand.budget import Balance
from expand.client.client import BudgetedClient
from expand.drafting.chapter_requests import FIRST, Tried, ask, json_in, unreadable
from expand.drafting.events import Event
from expand.drafting.model_setup import ModelSetup, profile_of
from expand.drafting.request_builder import TRIES_STRIDE, WHOLE, Orders
from expand.drafting.results import balance_json
from expand.drafting.run_context import UsageCounter, open_run
from expand.drafting.run_options import RunOptions
from expand.errors import AuthorError, ExpandError, InputError, Place
from expand.importers.import_run import (
    DEFAULT_LINES,
    ImportRequest,
    ImportResult,
    KnownChapters,
    OutlineWriter,
    WrittenOutline,
    require_id,
)
from expand.importers.lengths import Length
from expand.importers.proposal import Proposal, ProposedSection, read_headings, scaled, tidy
from expand.importers.text_patterns import plain
from expand.ledger import Order
from expand.llm.profile import strict_object
from expand.llm.types import Answer
from expand.markdown.matching import title_key, unnumbered
from expand.outline import LINES_A_TOPIC
from expand.outline.reading import OUTLINE
from expand.prompts.context import LANGUAGE_NAMES, SuggestionContext
from expand.schema import Json
from expand.schema.input_file import InputFile
from expand.settings import Settings
from expand.workspace import Workspace, read_text

MAX_REQUESTS = 3
TOKENS_PER_SECTION = 160
MIN_OUTPUT_TOKENS = 600
MAX_MATERIAL = 12_000
"""Characters of a document, or of the previous answer, that a request shows the model."""
MAX_CHAPTERS = 60
MAX_TOPICS = 8
LINES_PER_SECTION = 40
"""The least that sections may have on average."""


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


class Suggestion:
    """The requests for a chapter's outline, by its ``title`` or id; ``request`` says what else is wanted of it. Raises
    ``InputError``."""

    def __init__(self, workspace: Workspace, title: str, request: ImportRequest, options: RunOptions) -> None:
        self._workspace, self._request = workspace, request
        book = workspace.book()
        known, self.target = _target(workspace, title, request)
        language = known.language(self.target.title, request.language)
        self._options = replace(options, language=language.code, brief=False, read=False)
        stated = self.target.target
        in_lines = int(stated.amount) if stated is not None and stated.unit == "lines" else None
        self._lines = request.lines or in_lines or DEFAULT_LINES
        self._wanted = SectionCount.of(self._lines, [section.title for section in self.target.sections])
        self._writer = OutlineWriter(known, language, self._lines)
        code = language.code
        titles = (one.title.say(code, book.language) for one in known.chapters if one.id != self.target.id)
        self._context = SuggestionContext(
            language=code,
            language_name=LANGUAGE_NAMES.get(code, code),
            book_title=book.title.say(code, book.language),
            audience=book.audience.say(code, book.language) if book.audience else "",
            house_rules=tuple(rule.say(code, book.language) for rule in book.house_rules),
            chapter_id=self.target.id,
            chapter_title=self.target.title,
            lines=self._lines,
            least_sections=self._wanted.least,
            most_sections=self._wanted.most,
            other_chapters=tuple(titles)[:MAX_CHAPTERS],
            headings=self._wanted.headings,
            source_material=_text_of(workspace, self.target.file)[:MAX_MATERIAL].strip(),
            present="",
            problems=(),
        )

    async def buy(
        self,
        settings: Settings,
        *,
        on_event: Callable[[Event], None] = lambda _: None,
        on_ready: Callable[[BudgetedClient], None] = lambda _: None,
    ) -> SuggestResult:
        """Buys a proposal and writes the outline. Raises ``InputError`` before anything is sent.

        ``on_ready`` gets the client before the first request, to be able to stop it."""
        workspace, chapter, force = self._workspace, self.target.id, self._request.force
        if (profile := profile_of(workspace, settings)).structured_output == "grammar":
            raise InputError(
                f"{profile.name} is too small to plan a chapter", remedy="give another --model, or write the sections"
            )
        there = chapter in self._writer.known.outlined
        outlines = {chapter: workspace.outline(chapter)} if there else {}
        async with open_run(workspace, settings, self._options, on_event=on_event, outlines=outlines) as run:
            ledger, fresh = run.ledger, self._options.fresh
            first = self._order(run.setup, run.run_id, ledger.edition(chapter, WHOLE))
            if there and not force and (fresh or not ledger.known(first)):
                raise InputError(
                    f"the outline exists, and sections proposed for chapter {chapter} would change it",
                    remedy="--force changes it in place; comments, and what the proposal does not mention, stay",
                    place=Place(path=workspace.relative(workspace.outline_path(chapter))),
                )
            on_ready(run.client)
            edition = (ledger.raise_edition if fresh else ledger.edition)(chapter, WHOLE)
            made = await ask(
                run, lambda tried: self._order(run.setup, run.run_id, edition, tried), self._read, MAX_REQUESTS
            )
            stopped_by, written = made.stopped_by, None
            if made.value is None and stopped_by is None:
                stopped_by = AuthorError(
                    f"chapter {chapter}: none of {MAX_REQUESTS} answers makes an outline: {made.problems[0]}; "
                    "give another --model, or write the sections yourself"
                )
            elif made.value is not None and stopped_by is None:
                written = self._writer.write([made.value], force=force)
            return SuggestResult(
                model=run.setup.profile.name,
                written=written,
                findings=made.problems if written else (),
                usage=run.usage.of(chapter, WHOLE),
                balance=ledger.balance("book"),
                stopped_by=stopped_by,
            )

    def _order(self, setup: ModelSetup, run_id: str, edition: int, tried: Tried = FIRST) -> Order:
        """The order for a proposal; a higher ``edition`` asks anew, and each answer that reached its output cap doubles
        it. Raises ``InputError`` where it does not fit the model."""
        context, chapter, profile = self._context, self.target.id, setup.profile
        thinking = profile.reasoning_tokens
        cap = thinking + max(MIN_OUTPUT_TOKENS, self._wanted.most * TOKENS_PER_SECTION)
        context = replace(context, present=tried.said[:MAX_MATERIAL], problems=tried.problems)
        # An answer serves again whichever other chapters the book has got meanwhile.
        alone = setup.prompts.message("suggest.j2", replace(context, other_chapters=())).content
        words = ("suggest", chapter, alone, profile.name, edition, tried.attempts, tried.cut)
        order = partial(
            Orders(setup, self._options, run_id).of_chapter,
            chapter=chapter,
            purpose="draft",
            edition=edition * TRIES_STRIDE + tried.attempts,
            output_tokens=cap * 2**tried.cut - thinking,
            question=words,
            parameters={**profile.parameters, **profile.json_format("outline", _SCHEMA)},
        )
        try:
            return order((setup.prompts.message("suggest.j2", context),))
        except InputError:  # it does not fit: once more without what can be left out
            bare = replace(context, source_material="", present="", other_chapters=())
            return order((setup.prompts.message("suggest.j2", bare),))

    def _read(self, answer: Answer) -> tuple[WrittenOutline | None, tuple[str, ...]]:
        """The outline that an answer makes, None where it makes none; and what is wrong with it."""
        if problems := unreadable(answer):
            return None, problems
        proposed, faults = parse_answer(answer.text, self._wanted)
        if not proposed:
            return None, faults
        present = {title_key(section.title): section.present for section in self.target.sections}
        sections = tuple(replace(one, present=present.get(title_key(one.title), 0)) for one in proposed)
        proposal = scaled(tidy(replace(self.target, sections=sections)), lines=self._lines)
        lines = [int(section.length.amount) if section.length else 0 for section in proposal.sections]
        faults += tuple(
            f"section {number} ({section.title}) has {len(section.topics)} topics in {section.length}; give it fewer "
            "topics or more of the lines"
            for number, section in enumerate(proposal.sections, 1)
            if len(section.topics) * LINES_A_TOPIC > lines[number - 1]
        )
        try:
            return self._writer.outline_for(replace(proposal, target=Length(sum(lines), "lines"))), faults
        except InputError as error:
            return None, (*faults, f"{error.what}; {error.remedy}")


def _target(workspace: Workspace, wanted: str, request: ImportRequest) -> tuple[KnownChapters, Proposal]:
    """The chapter that is meant, by its id, its title, or a new title, with what outline, book and document say of it:
    ``file`` is its document from the workspace's root, ``target`` what is stated for it, and its sections are those of
    the document. Raises ``InputError``."""
    wanted = " ".join(wanted.split())
    if not wanted or wanted.lower().endswith((".md", ".markdown", ".mdx")):
        raise InputError(f"{wanted!r} is no title", remedy="give a chapter's title in words, or its id")
    known = KnownChapters(workspace)
    found = wanted if wanted in known.ids else known.by_title.get(title_key(wanted))
    if found is None and request.id is not None:
        require_id(request.id)
    elif request.id not in (None, found):
        raise InputError(f"{wanted!r} is chapter {found} already", remedy=f"leave --id {request.id} out")
    chapter = found or request.id or known.next_id(wanted)
    entry = next((one for one in known.chapters if one.id == chapter), None)
    outline = workspace.outline(chapter) if chapter in known.outlined else None
    title = wanted
    if found is not None and known.book and (named := outline or entry):
        title = named.title.say(request.language or known.book.language, known.book.language)
    lines = (outline.stated_lines if outline else None) or (entry.target_lines if entry else None)
    source = outline.source if outline else entry.source if entry else None
    read = read_headings(_text_of(workspace, source), file=source or f"{chapter}.md", chapter=chapter)
    # A document without headings counts as one section without lines: nothing of it has to be kept.
    sections = tuple(section for section in read.sections if section.present)
    stated = Length(lines, "lines") if lines else read.target
    return known, replace(read, title=title, sections=sections, file=source, target=stated)


def _text_of(workspace: Workspace, source: str | None) -> str:
    path = workspace.source_path(source) if source else None
    return read_text(path) if path and path.is_file() else ""


# The format of an answer.


class SectionCount(NamedTuple):
    """How many sections a chapter may have, and the headings of its document, which it has to keep."""

    least: int
    most: int
    headings: tuple[str, ...] = ()

    @classmethod
    def of(cls, lines: int, headings: Sequence[str] = ()) -> Self:
        """The count for a chapter of ``lines``: 5 to 14 for 1,000 lines, and never fewer than its ``headings``."""
        most = max(1, min(14, lines // LINES_PER_SECTION), len(headings))
        return cls(min(most, max(len(headings), lines // 250 + 1, 1), 14), most, (*headings,))


_SECTION: dict[str, Json] = {
    "title": {"type": "string", "description": "One short line, without a number."},
    "lines": {"type": "integer", "description": "Lines of Markdown, above 0."},
    "topics": {"type": "array", "items": {"type": "string"}},
}
_SCHEMA = strict_object({"sections": {"type": "array", "items": strict_object(_SECTION)}})


def parse_answer(text: str, wanted: SectionCount) -> tuple[tuple[ProposedSection, ...], tuple[str, ...]]:
    """The sections in an answer, none where it cannot be read, and all that is wrong with it, each with its remedy."""
    file = InputFile("the answer")
    try:
        answer = json_in(text)
        given = answer.get("sections") if isinstance(answer, dict) else None
        if not isinstance(given, list) or not given:
            return (), ('there is no list "sections"; give one, with what each is about',)
        file.data = {"id": "x", "title": "x", "source": "x.md", "sections": [_bare(entry) for entry in given]}
        entries = OUTLINE.check(file)["sections"]
    except (ValueError, RecursionError) as error:
        said = error.msg if isinstance(error, json.JSONDecodeError) else "nested too deep"
        return (), (f"it is no JSON object ({said}); answer with one and nothing else",)
    faults = [f"{one.what}; {one.remedy}" for one in file.problems]
    sections = []
    for number, entry in enumerate(entries, 1):
        if entry is None or "title" not in entry:
            continue
        if not isinstance(entry["title"], str):  # by language, as outlines may
            faults.append(f"section {number} has no title; give it one, as a text")
            continue
        topics = tuple(filter(None, entry.get("topics", ())))
        if not topics or len(topics) > MAX_TOPICS:
            faults.append(f"section {number} has {len(topics)} topics; give 2 to 6, as texts")
        length = Length(int(entry["lines"]), "lines") if "lines" in entry else None
        sections.append(ProposedSection(title=entry["title"], length=length, topics=topics[:MAX_TOPICS]))
    if sections and not wanted.least <= len(sections) <= wanted.most:
        count = f"{wanted.least} to {wanted.most}" if wanted.least < wanted.most else wanted.most
        faults.append(f"there are {len(sections)} sections; give {count}")
    keys = {title_key(section.title) for section in sections}
    missing = [heading for heading in wanted.headings if sections and title_key(heading) not in keys]
    return tuple(sections), (*faults, *(f"the section {one!r} of the document is missing; keep it" for one in missing))


def _bare(value: object) -> Any:
    """What an answer says of a section, its texts on one line and without numbering and Markdown."""
    match value:
        case str():
            line = " ".join(value.split())
            return plain(unnumbered(plain(line.lstrip("#").strip()))) or plain(line)
        case list():
            return [_bare(item) if isinstance(item, str) else item for item in value]
        case dict():
            said = {key: _bare(value.get(key)) for key in ("title", "lines", "topics")}
            return {key: one for key, one in said.items() if key != "topics" or (one and isinstance(one, list))}
    return value
