"""Translates a finished chapter into another of the book's languages: only prose is asked for, all else stays.

The chapter is its draft, or its document where that is finished. It is parted into blocks, and blocks into passages
(``document.translation_units``), which are bought in batches: reserved, settled, stored, and never bought twice. The
draft's hidden last line names each block of the original and what was written for it. So a block that did not change
is taken from the draft as it stands there, and what a person changed is kept, also where its original changed since.

A translation that loses something of its passage goes back with what it lacks, once; then the original is kept.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from typing import NamedTuple

from expand.budget import Balance
from expand.checks import Finding
from expand.checks.finding import excerpt, finding
from expand.client.client import BudgetedClient
from expand.document import draft as document
from expand.document.draft import Draft, Stamp
from expand.document.layout import Wanted, located
from expand.document.numbered import CONTENTS_TITLES
from expand.document.page import Page, Span
from expand.document.translation_units import Passage, faults, passages, translated, with_links_moved
from expand.drafting.accept import draft_text, open_draft, review
from expand.drafting.acceptance_record import Acceptances, file_hash
from expand.drafting.chapter_requests import FIRST, Tried, ask
from expand.drafting.draft_file import SOURCE_KEY
from expand.drafting.dry_run import DryRun
from expand.drafting.events import Event, Notice
from expand.drafting.model_setup import ModelSetup, model_setup_for, require_language
from expand.drafting.request_builder import WHOLE, Orders
from expand.drafting.results import balance_json, finding_json
from expand.drafting.run_context import RunContext, UsageCounter, open_run
from expand.drafting.run_options import RunOptions
from expand.errors import ExpandError, InputError, Place
from expand.ledger import Order
from expand.llm.types import Answer, Author, Finish
from expand.markdown import matching, names, sanitize
from expand.markdown.blocks import rows
from expand.markdown.matching import title_key, unnumbered
from expand.outline import Book, Text
from expand.prompts.context import LANGUAGE_NAMES, TranslationContext
from expand.schema import Json
from expand.settings import Settings
from expand.workspace import Workspace, decoded, read_bytes, write_atomically

MOST_REQUESTS = 2
"""For one batch: the second is for what was wrong with the first."""
BATCH_TOKENS, BATCH_PASSAGES = 1500, 40
"""What a request asks for at most, in tokens of the original and in passages."""
OUTPUT_RATIO, TOKENS_A_PASSAGE = 2, 16
"""Tokens of the output cap for each token of the original, and for the number of a passage."""
MOST_TERM = 40
"""The letters of a term; a longer text in a glossary says what a term means."""
_ANSWERED = re.compile(
    r"^[ \t]*\[\[(\d{1,4})\]\](.*?)(?=^[ \t]*(?:\[\[\d{1,4}\]\]|```|\r?$)|\Z)", re.DOTALL | re.MULTILINE
)
"""A number and what stands behind it, up to the next one, a blank line or a fence around the whole."""


class Overlay(NamedTuple):
    """A text in the place of the blocks ``[start, end)`` of a document. ``changed`` says that a person wrote it for
    another original than there is now."""

    start: int
    end: int
    text: str
    changed: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class TranslationResult:
    """What a translation came to: ``missing`` are the passages that are not translated because the run ended before."""

    work: Translation
    missing: int
    usage: UsageCounter
    balance: Balance
    findings: tuple[Finding, ...]
    stopped_by: ExpandError | None = None

    @property
    def exit_code(self) -> int:
        """0; that of what stopped it; 5 for findings above a note."""
        if self.stopped_by:
            return self.stopped_by.exit_code
        return 5 if any(one.severity != "note" for one in self.findings) else 0

    def as_json(self) -> dict[str, Json]:
        """The object that ``expand translate --json`` prints."""
        return {
            "chapter": self.work.chapter,
            "from": self.work.languages[0],
            "to": self.work.languages[1],
            "original": self.work.original_path,
            "draft": self.work.path,
            "passages": len(self.work.passages),
            "bought": len(self.work.answered),
            "edited": self.work.edited,
            "missing": self.missing,
            **self.usage.as_json(),
            "findings": [finding_json(one) for one in self.findings],
            "stopped_by": str(self.stopped_by) if self.stopped_by else "",
            "budget": balance_json(self.balance),
        }


class Translation:
    """The translation of a chapter into the language of the options, before and after anything is bought."""

    def __init__(self, workspace: Workspace, book: Book, setup: ModelSetup, options: RunOptions) -> None:
        """Raises ``InputError`` where there is nothing to translate, or something else in its place."""
        if setup.profile.aspects:  # a small model that fills in forms
            raise InputError(f"model {setup.profile.name} cannot translate", remedy="give --model")
        (self.chapter,) = options.chapters
        self._workspace, self._book, self._setup, self._options = workspace, book, setup, options
        self.language = options.language
        self._outline = workspace.outline(self.chapter)
        self.original_path, self._text, self._original = self._finished()
        self.languages = (self._original.language, self.language)
        self._name = book.draft_name(self.chapter, self.language)
        self._path = workspace.draft_path(self._name)
        self.path = workspace.relative(self._path)
        self._terms = self._glossary()
        self._defined = {one.name for one in names.definitions(self._text)}
        self.passages = passages(self._text)
        self._blocks = _blocks(self._text)
        made_from = (b.text + json.dumps(self._terms_in(b.text), ensure_ascii=False) for b in self._blocks)
        self._hashes = [document.text_hash(one)[:8] for one in made_from]
        """What each block's translation is made from."""
        self._source_hash, self._reused, self._edits = "", list[Overlay](), list[Overlay]()
        self._take_in()
        theirs, done = _covered(self._edits), _covered([*self._reused, *self._edits])
        self._at = {p: next(n for n, b in enumerate(self._blocks) if p.line < b.end) for p in self.passages}
        self.edited = sum(at in theirs for at in self._at.values())
        """How many passages a person has changed."""
        titles = self._titles()
        self._said = {p.text: titles[key] for p in self.passages if p.title and (key := title_key(p.text)) in titles}
        """Translations by the text of their passages, at first those that the outline has."""
        self._outlined = {*self._said}
        self.asked = {p.text: p for p in self.passages if self._at[p] not in done and p.text not in self._said}
        self.answered: set[str] = set()
        """Those of what is asked for that are done with: translated, or asking again did not help."""

    def _take_in(self) -> None:
        """Take in the translation as it stands: what of it is still right, and what a person has changed."""
        former = self._workspace.draft(self._name)
        if former is None:
            return
        if not former.translated:
            what = "it is no translation, and would be replaced by one"
            raise InputError(what, remedy="rename or delete it", place=Place(path=self.path))
        self._source_hash = former.source_hash
        self._reused, self._edits = _overlays(draft_text(self._workspace, self._name), former.blocks, self._hashes)

    def _finished(self) -> tuple[str, str, Draft]:
        """Path and text of the chapter in the first of the book's languages that has it, and the draft that it is."""
        workspace, book, chapter = self._workspace, self._book, self.chapter
        why = f"chapter {chapter} is not finished in another language than {self.language!r}"
        for language in dict.fromkeys((book.language, *book.languages)):
            if language == self.language:
                continue
            name, source = book.draft_name(chapter, language), self._document(language)
            draft = workspace.draft(name)
            accepted = Acceptances(workspace).last(chapter, source) if source else None
            own = draft_text(workspace, name) if draft and not draft.translated else ""
            # What was accepted may have been changed in the document since; what was drafted since is in the draft.
            if draft and own and not (accepted and accepted.accepted == file_hash(own.encode())):
                undone = [n for n, s in draft.stamps.items() if s.key in ("", SOURCE_KEY) and not draft.edited(n)]
                if not undone:
                    return f"drafts/{name}.md", own, draft
                why = f"drafts/{name}.md is not finished: section {undone[0]} is still to be drafted"
            elif source and (accepted or any(one.finished for one in book.chapters if one.id == chapter)):
                file = workspace.source_path(source)
                text = decoded(read_bytes(file), file, keep_mark=True)
                layout = self._outline.layout or book.layout
                return source, text, replace(document.read(text), language=language, layout=layout)
        raise InputError(
            why, remedy=f"draft it with `expand chapter {chapter}`, or say finished: true in outlines/book.yaml"
        )

    def _document(self, language: str) -> str:
        """The path of the chapter's document in a language, or ""; one without a mapping is in the book's own."""
        own = self._outline.source if language == self._book.language and not self._outline.sources else ""
        found = self._outline.sources.get(language, own)
        return found if found and self._workspace.source_path(found).is_file() else ""

    def _titles(self) -> dict[str, str]:
        """What the outline calls the chapter, its sections and topics in the language, by their other titles."""
        outlined = (title for s in self._outline.sections for title in (s.title, *s.topics))
        texts = (self._outline.title, *outlined, Text(by_language=CONTENTS_TITLES))
        named = [text.by_language for text in texts if self.language in text.by_language]
        return {title_key(one): unnumbered(own[self.language]) for own in named for one in own.values()}

    def _glossary(self) -> dict[str, str]:
        """The terms as the original calls them, and as the translation is to call them."""
        entries = {**self._book.glossary, **self._outline.glossary}.items()
        pairs = ([_wording(self._book, term, text, one) for one in self.languages] for term, text in entries)
        return {own: wanted for own, wanted in pairs if own and wanted}

    def _terms_in(self, text: str) -> dict[str, str]:
        """The terms in a passage and what they are called."""
        return {term: self._terms[term] for term in _found(matching.prose(text), self._terms)}

    def _off_terms(self, text: str, said: str) -> list[str]:
        """The terms of a passage that its translation calls otherwise."""
        terms = self._terms_in(text)
        there = _found(said, terms.values())
        return [f'the term "{term}" is "{wanted}"' for term, wanted in terms.items() if wanted not in there]

    def _faults(self, passage: Passage, said: str) -> list[str]:
        return faults(passage.text, said, self.language, cell=passage.kind == "cell", defined=self._defined)

    def batches(self) -> list[list[Passage]]:
        """What is to be asked for, by request."""
        found: list[list[Passage]] = []
        size = BATCH_TOKENS
        for passage in self.asked.values():
            tokens = self._setup.counter.count(passage.text) + TOKENS_A_PASSAGE
            if size + tokens > BATCH_TOKENS or len(found[-1]) == BATCH_PASSAGES:
                found.append([])
                size = 0
            found[-1].append(passage)
            size += tokens
        return found

    def order(self, batch: Sequence[Passage], run_id: str, tried: Tried = FIRST) -> Order:
        """The order for a batch. Raises ``InputError`` where it does not fit the model's context window."""
        texts = tuple(passage.text for passage in batch)
        terms = self._terms_in("\n".join(texts))
        own, wanted = (LANGUAGE_NAMES.get(one, one) for one in self.languages)
        context = TranslationContext(
            chapter_title=self._outline.title.say(self._original.language, self._book.language),
            language=self.language,
            language_name=wanted,
            original_language_name=own,
            glossary=terms,
            passages=texts,
            problems=tried.problems,
        )
        # By what is asked, not by the answer before it: a run that was killed finds what it bought.
        asked = json.dumps([texts, terms, self.languages, self._setup.profile.name, bool(tried.attempts)])
        size = sum(map(self._setup.counter.count, texts))
        return Orders(self._setup, self._options, run_id).of_chapter(
            (self._setup.prompts.of(self.chapter, None).message("translate.j2", context),),
            self.chapter,
            "translate",
            output_tokens=OUTPUT_RATIO * size + TOKENS_A_PASSAGE * (len(batch) + 4),
            question=("translate", self.chapter, asked),
            edition=tried.attempts,
        )

    async def buy(self, context: RunContext, batch: Sequence[Passage]) -> ExpandError | None:
        """Have a batch translated, as far as nothing ends it, and return that."""
        left = [*batch]

        def read(answer: Answer) -> tuple[bool, tuple[str, ...]]:
            asked, problems = [*left], list[str]()
            found = [*_ANSWERED.finditer(sanitize.bare(answer.text)[0])] if answer.usable else []
            if answer.finish is not Finish.STOP:
                found = found[:-1]  # the last may end in the middle
            answers = {int(one[1]): " ".join(one[2].split()) for one in reversed(found)}
            left.clear()
            for number, passage in enumerate(asked, 1):
                said = answers.get(number, "")
                hard, soft = self._faults(passage, said), self._off_terms(passage.text, said)
                if not hard and (not soft or passage.text not in self._said):
                    self._said[passage.text] = said
                if hard or soft:
                    left.append(passage)
                    problems.append(f"[[{len(left)}]] {said or '(nothing)'}: {'; '.join([*hard, *soft])}")
            return True, tuple(problems)

        made = await ask(context, lambda tried: self.order(left, context.run_id, tried), read, MOST_REQUESTS)
        self.answered |= {passage.text for passage in batch if not (made.stopped_by and passage in left)}
        return made.stopped_by

    def write(self) -> tuple[Finding, ...]:
        """Write the draft as far as there are translations. Returns what is wrong with it."""
        self._take_in()  # a person may have changed it meanwhile
        said = {p: self._said[p.text] for p in self.passages if p.text in self._said}
        whole = with_overlays(translated(self._text, said), self._reused)
        whole = with_links_moved(whole, self._text)
        missing = {self._at[p] for p in self.passages if p.text in self.asked.keys() - self.answered}
        pairs = [
            ("" if at in missing else hashed, document.text_hash(block.text)[:8])
            for at, (hashed, block) in enumerate(zip(self._hashes, _blocks(whole), strict=True))
        ]
        text = with_overlays(whole, self._edits)
        named: dict[int, str] = {}  # of the sections' headings: their anchors, as far as the layout needs them
        if self._original.layout == "keep":
            wanted = [Wanted(section.title.every(), section.heading) for section in self._outline.sections]
            found, own = located(Page(self._text).headings, wanted), Page(text).headings
            named = {index + 1: own[at].anchor for index, at in found.items() if at < len(own)}
        text = document.render(
            text,
            layout=self._original.layout,
            pieces=self._original.pieces,
            stamps={number: Stamp(key="", text="", name=name) for number, name in named.items()},
            language=self.language,
            translated=self._original.language,
            plan=self._original.plan,
            source=self._source(),
            blocks=",".join(f"{one}:{other}" for one, other in pairs),
        )
        if not self._path.is_file() or text != decoded(read_bytes(self._path), self._path, keep_mark=True):
            write_atomically(self._path, text)
        copy = self._workspace.state_path("lines", self._name)
        write_atomically(copy, document.hidden_line(text), durable=False, private=True)
        return self._findings(whole, text)

    def _source(self) -> str:
        """The hash of the document that it replaces, as it was first: a later change is not accepted away."""
        if self._source_hash:
            return self._source_hash
        path = self._document(self.language)
        present = read_bytes(self._workspace.source_path(path)) if path else b""
        return Acceptances(self._workspace).keep(present, durable=False) if present else file_hash(b"")

    def _findings(self, text: str, written: str) -> tuple[Finding, ...]:
        """What ``text``, without a person's edits, lost of its original, and its terms; ``written`` has edits."""

        def line_of(part: str) -> int:
            return written.count("\n", 0, max(0, written.find(part))) + 1

        found, now, theirs = [], passages(text), _covered(self._edits)
        for was, one in zip(self.passages, now, strict=False) if len(now) == len(self.passages) else ():
            if self._at[was] in theirs:
                continue
            if was.text == one.text and self._faults(was, one.text):
                message = f"it is kept in {self._original.language!r}: {excerpt(one.text)}"
                found.append(finding("untranslated", 0, line_of(text[one.start : one.end]), message))
            elif was.text not in self._outlined and (off := "; ".join(self._off_terms(was.text, one.text))):
                line = line_of(text[one.start : one.end])
                found.append(finding("off-glossary", 0, line, f"{off}: {excerpt(one.text)}"))
        for edit in self._edits:
            if edit.changed:
                message = f"its original changed since it was edited by hand: {excerpt(edit.text)}"
                found.append(finding("untranslated", 0, line_of(edit.text), message, severity="note"))
        return tuple(found)


def _wording(book: Book, term: str, text: Text, language: str) -> str:
    """What the glossary calls a term in a language, "" where it only says what it means."""
    chinese = matching.cjk_letters(term) > 0
    languages = (book.language, *book.languages)
    # The term itself is in the first of the book's languages that has its script.
    own = next((one for one in languages if matching.is_cjk_language(one) == chinese), book.language)
    said = term if language == own else re.split(r"[（(]", text.by_language.get(language, ""))[0].strip()
    return said if len(said) <= MOST_TERM and not re.search(r"[。.!?;；，,：:]", said) else ""


def _found(text: str, terms: Iterable[str]) -> list[str]:
    """The terms in a text, also in the plural and over hyphens, the longest first; it hides those within it."""
    found = []
    for term in sorted(dict.fromkeys(terms), key=lambda term: -len(term)):
        words = r"[\s-]+".join(map(re.escape, re.split(r"[\s-]+", term)))
        words = words if matching.cjk_letters(term) else rf"(?<!\w){words}(?:e?s)?(?!\w)"
        text, times = re.subn(words, " ", text, flags=re.IGNORECASE)
        found += [term] * bool(times)
    return found


def _blocks(text: str) -> list[Span]:
    return [span for span in Page(text).spans if span.kind not in ("mark", "blank")]


def _covered(overlays: Sequence[Overlay]) -> set[int]:
    return {at for one in overlays for at in range(one.start, one.end)}


def _overlays(
    present: str, pairs: Sequence[tuple[str, str]], hashes: Sequence[str]
) -> tuple[list[Overlay], list[Overlay]]:
    """What of a translation is still right for an original of these blocks, and what a person changed in it."""
    page, blocks = Page(present), _blocks(present)
    own = [document.text_hash(block.text)[:8] for block in blocks]
    place = [(len(hashes), len(hashes))] * (len(pairs) + 1)
    for tag, a, b, c, d in SequenceMatcher(None, [one for one, _ in pairs], hashes, autojunk=False).get_opcodes():
        for at in range(a, b):
            now = min(c + at - a, d)
            place[at] = (now, now + 1) if tag != "delete" and now < d else (now, now)
    known, edits = dict[str, str](), []
    for tag, a, b, c, d in SequenceMatcher(None, [one for _, one in pairs], own, autojunk=False).get_opcodes():
        if tag != "equal":
            said = page.cut(blocks[c].start, blocks[d - 1].end) if c < d else ""
            start = place[a][0]
            end = max((place[at][1] for at in range(a, b)), default=start)
            edits.append(Overlay(start, end, said, [one for one, _ in pairs[a:b]] != list(hashes[start:end])))
            continue
        known |= {was: block.text for (was, _), block in zip(pairs[a:b], blocks[c:d], strict=True)}
    return [Overlay(at, at + 1, known[one]) for at, one in enumerate(hashes) if one in known], edits


def with_overlays(text: str, overlays: Sequence[Overlay]) -> str:
    """The document with texts in the place of blocks, or between them."""
    page, blocks = Page(text), _blocks(text)
    lines = [*page.lines]
    for one in sorted(overlays, reverse=True):
        start = blocks[one.start].start if one.start < len(blocks) else len(lines)
        end = blocks[one.end - 1].end if one.end > one.start else start
        said = rows(one.text)
        if said and not said[-1].endswith(("\n", "\r")) and end < len(lines):
            said[-1] += page.newline
        if start == end and said:
            said = [page.newline, *said] if start == len(lines) else [*said, page.newline]
        lines[start:end] = said
    return page.mark + "".join(lines)


async def translate(
    workspace: Workspace,
    options: RunOptions,
    *,
    author: Author | None = None,
    on_event: Callable[[Event], None] = lambda _: None,
    on_ready: Callable[[BudgetedClient], None] = lambda _: None,
) -> TranslationResult:
    """Translate the only chapter in ``options`` into their language. ``on_ready`` gets the client before the first
    request. Raises ``InputError`` before anything is sent."""
    settings = settings_of(workspace, options, own_author=author is not None)
    async with open_run(workspace, settings, options, author=author, on_event=on_event) as context:
        on_ready(context.client)
        work = Translation(workspace, context.book, context.setup, options)
        batches = work.batches()
        for batch in batches:
            work.order(batch, context.run_id)
        counts = f"{len(work.asked)} of {len(work.passages)} passages"
        on_event(Notice(message=f"{work.original_path}: {counts} are to be translated"))
        places = asyncio.Semaphore(settings.concurrency or context.setup.profile.concurrency)

        async def buy(batch: Sequence[Passage]) -> ExpandError | None:
            async with places:
                return await work.buy(context, batch)

        stopped_by = [error for error in await asyncio.gather(*map(buy, batches)) if error is not None]
        findings: tuple[Finding, ...] = ()
        if work.answered or not stopped_by:
            findings = work.write()
            draft_file = open_draft(workspace, settings, context.book, work.chapter, work.language)
            findings += review(draft_file, workspace, settings).every_finding
        return TranslationResult(
            work=work,
            missing=len(work.asked.keys() - work.answered),
            usage=context.usage.of(work.chapter, WHOLE),
            balance=context.ledger.balance("book"),
            findings=findings,
            stopped_by=stopped_by[0] if stopped_by else None,
        )


def settings_of(workspace: Workspace, options: RunOptions, *, own_author: bool = False) -> Settings:
    """The settings of the model that translates, alone."""
    settings = options.settings(workspace, own_author=own_author)
    meant = settings if options.model or own_author else settings.for_role("translate")[0]
    return replace(meant, roles={}, fallback=())


def dry_run(workspace: Workspace, options: RunOptions) -> DryRun:
    """What ``translate`` would send, worked out without sending: as if every answer could be used."""
    book = workspace.book()
    setup = model_setup_for(workspace, settings_of(workspace, options), ledger=None)
    require_language(setup.profile, book, options.language)
    work = Translation(workspace, book, setup, options)
    orders = [work.order(batch, "dry") for batch in work.batches()]
    title = f"{work.original_path} into {work.language}"
    tokens = sum(map(setup.counter.count, work.asked))
    return DryRun.of(orders, tokens, chapter=work.chapter, section=0, title=title, lines=0, reused=not orders)
