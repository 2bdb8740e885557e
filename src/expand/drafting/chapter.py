"""One chapter being expanded: what each section consists of, is made from, and owes its outline.

What a section is made from is a key in named parts: while the key holds, the section is current. It stands in the
draft's last line. When it no longer holds, the parts that differ are the reasons to draft the section again.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from expand.checks import Finding, check_section, not_ignored
from expand.checks.consistency import Term, excerpts, term_variants
from expand.checks.links import Contents
from expand.code_check.chapter_code import CodeCheck, Crate, Project
from expand.code_check.checkers import files_named
from expand.document.draft import Draft
from expand.document.follow import known_by_draft
from expand.document.layout import Arrangement, Named, Wanted, arrange, own_texts
from expand.document.numbered import Source, numbered_source, with_title
from expand.document.page import BYTE_ORDER_MARK, Page, first_fault, footer_line
from expand.drafting.brief import Brief, SectionBrief, topic_examples
from expand.drafting.memory import NO_OTHERS, OtherChapters, terms_of, told
from expand.drafting.model_setup import ModelSetup
from expand.drafting.run_options import RunOptions
from expand.drafting.section_text import Skeleton
from expand.errors import InputError, Place
from expand.llm.types import Message
from expand.markdown import blocks, names
from expand.markdown.lines import measure_of
from expand.markdown.matching import all_unnumbered, title_key
from expand.outline import Book, Outline, Section, Text, under
from expand.prompts.context import LANGUAGE_NAMES, ChapterContext, SectionContext
from expand.references.passages import Passage, quoted, rankings, shown, within_tokens
from expand.references.reference_files import References
from expand.schema import Json
from expand.settings import Settings
from expand.workspace import Workspace, read_text

if TYPE_CHECKING:
    from expand.prompts.rendering import Prompts

PARTS = ("outline", "source", "book", "model", "templates", "language", "revision")
"""The section's own outline and lines; the source's blocks in it; the book's rules, readers and titles; the model and
its parameters; the templates; the language; and the revision, raised to buy the section anew, with the editor's
instruction."""

WINDOW_SHARE = 8
"""References take at most this part of a model's context window."""
OWN_SHARE = 4
"""At least this part of the tokens for references is for those that a section's own requests quote; the chapter's may
take the rest, and come first in all of its requests, where a provider's cache serves them."""
VOICE_TOKENS, MEMORY_TOKENS, BESIDE_TOKENS = 1000, 600, 600
"""The most tokens that the requests of a chapter show of the voice and of the memory of others, and of what its
document says beside the outline's sections."""
OTHERS_SHARE = 16
"""None of them is more than this part of the model's context window."""
_DIGITS = 8
_JSON = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":"))


class Revision(NamedTuple):
    """Which buying of a section this is, from 0, and what an editor wants of it."""

    number: int = 0
    instruction: str = ""


NO_REVISION = Revision()
OF_ORIGINAL = ("short", "long", "thin", "few-examples", "topic-missing", "unknown-heading", "left-out", "superseded")
"""Kinds of findings that a translation owes to its original."""


def digest(part: Json) -> str:
    """A part of a key: eight hexadecimal digits of its JSON's hash."""
    return hashlib.sha256(_JSON.encode(part).encode()).hexdigest()[:_DIGITS]


def differences(former: str, key: str) -> tuple[str, ...]:
    """The names of the parts in which two keys differ; all of them where ``former`` has others."""
    old, new = former.split("."), key.split(".")
    if len(old) != len(new):
        return PARTS
    return tuple(name for name, a, b in zip(PARTS, old, new, strict=True) if a != b)


@dataclass(kw_only=True, eq=False)
class Chapter:
    """A chapter under the plan and in the language of a run's options; its lines follow the plan.

    ``draft`` is the one that there is: what was renamed in the outline since is found in the source by the heading that
    the draft has. ``others`` is what the book's other chapters have settled."""

    book: Book
    outline: Outline
    source_text: str
    options: RunOptions
    setup: ModelSetup
    draft: Draft | None = None
    brief: Brief | None = None
    references: References = field(default_factory=References)
    others: OtherChapters = NO_OTHERS

    def __post_init__(self) -> None:
        self.id = self.outline.id
        self.plan = self.options.plan
        self.language = self.options.language
        self.name = self.book.draft_name(self.id, self.language)
        """The name of its draft, and of what is kept with it."""
        self.outline = outline = under(self.plan, self.outline)
        self.layout = outline.layout or self.book.layout
        bare = self.source_text.removeprefix(BYTE_ORDER_MARK)
        if self.layout == "numbered":  # written back with the mark and the line endings of the source
            bare = re.sub(r"\r\n?", "\n", bare)
        self.names = {definition.name: definition.content for definition in names.definitions(bare)}
        """The link references and footnotes that the author's document defines, with what they stand for."""
        self._known: dict[int, dict[str, Passage]] = {}
        self.quoted_passages = self._choose_passages()
        """The passages that requests quote, by section and name; under 0 those that every request does."""
        self._numbered: Source | None = None
        if self.layout == "numbered":
            title = self.say(outline.title)
            self._numbered = numbered_source(bare, outline, self._titles, title=title, language=self.language)
        self.source_blocks = self._numbered.blocks if self._numbered else blocks.blocks(bare)
        """The author's blocks as they have to be found in a draft."""
        self._checked: dict[int, tuple[tuple[str, frozenset[int]] | None, tuple[Finding, ...]]] = {}
        self.skeletons = {section.number: self._skeleton(section) for section in self.outline.sections}
        """What each section consists of before a model wrote anything, by number."""
        self.context = self._context()
        """What every request says of the chapter, in the draft's language."""
        self._templates: dict[str, tuple[Prompts, Message]] = {}
        self.prompts, self.system = self.templates_for(self.setup)

    @property
    def translated(self) -> str:
        """The language that its draft is a translation from, "" for a text of its own."""
        return self.draft.translated if self.draft else ""

    def templates_for(self, setup: ModelSetup) -> tuple[Prompts, Message]:
        """The chapter's templates for a model, and the system message that they make. Raises ``InputError``."""
        model = setup.profile.name
        if model not in self._templates:
            prompts = setup.prompts.of(self.id, self.outline.style or self.book.style)
            prompts.check(self.language, self.context.units)
            self._templates[model] = prompts, prompts.message("system.j2", self.context)
        return self._templates[model]

    def require_sound_source(self) -> None:
        """Raises ``InputError`` for a source in which something never ends: the drafted text would be part of it."""
        if (fault := first_fault(self.source_text)) is not None:
            line, said, remedy = fault
            place = Place(path=self.outline.source, line=line + 1)
            raise InputError(f"{said}, and all that follows would be part of it", remedy=remedy, place=place)

    @cached_property
    def arrangement(self) -> Arrangement:
        """The document with the outline's sections in it."""
        if self._numbered is None:
            return self.arranged(Page(self.source_text))
        sections = {number: skeleton.parts for number, skeleton in self.skeletons.items()}
        return Arrangement((self._numbered.header, *sections, self._numbered.footer), sections, frozenset(), "\n")

    @cached_property
    def named(self) -> tuple[Named, ...]:
        """The outline's sections, as they are looked for in documents."""
        return tuple(
            Named(
                wanted=Wanted(section.title.every(), section.heading),
                title=self._titles[section.number][0],
                topics=tuple(Wanted(topic.every()) for topic in section.topics),
                topic_titles=self._titles[section.number][1],
            )
            for section in self.outline.sections
        )

    def arranged(self, page: Page, starts: Mapping[int, int] = MappingProxyType({})) -> Arrangement:
        """A document with the sections of the outline in it, in the layout ``keep``; ``starts`` as in ``arrange``. One
        without any text, as of a new chapter, begins with its title."""
        if not any(span.text.strip() for span in page.spans if span.kind not in ("mark", "front-matter")):
            page = Page(with_title(page, self.say(self.outline.title)))
        named = known_by_draft(self.draft, self.named) if self.draft else self.named
        return arrange(page, named, end=footer_line(page), starts=starts)

    @cached_property
    def authors(self) -> tuple[str, ...]:
        """The source's blocks, word for word."""
        text = self.source_text
        if self._numbered:
            text = "\n\n".join(block.text for block in chain.from_iterable(self._numbered.placed.values()))
        containers = (span.text for span in Page(text).spans if span.kind == "container")
        return tuple(one.strip("\r\n") for one in (*containers, *(block.text for block in blocks.blocks(text))))

    def demands(self, section: Section) -> str:
        """The digest of what a section owes beside its title, its topics and their lines."""
        wanted = section.code_examples if section.code_examples is not None else self.outline.quality.code_examples
        entry = self.brief_of(section)
        own: list[Json] = [self.say(section.note), wanted, *self._cited(section), *section.topic_lines]
        return digest(own) + (digest(dict(entry.data)) if entry else "")

    def demands_more(self, section: Section, demands: str) -> bool:
        """Whether a section owes something else than by former ``demands``. A brief without an entry for it does not
        ask for anything: it was renamed, or its topics came from elsewhere."""
        now = self.demands(section)
        return now[:_DIGITS] != demands[:_DIGITS] or now[_DIGITS:] not in ("", demands[_DIGITS:])

    @cached_property
    def _titles(self) -> dict[int, tuple[str, tuple[str, ...]]]:
        """Title and topics of each section by number. Where the tool numbers them, without numbers of their own."""
        sections = self.outline.sections
        titles = [self.say(section.title) for section in sections]
        topics = {section.number: [self.say(topic) for topic in section.topics] for section in sections}
        if self.layout == "numbered":
            titles = all_unnumbered(titles)
            topics = {number: all_unnumbered(own) for number, own in topics.items()}
        return {
            section.number: (title, tuple(topics[section.number]))
            for section, title in zip(sections, titles, strict=True)
        }

    def _skeleton(self, section: Section) -> Skeleton:
        number = section.number
        kept = self.arrangement.sections[number] if self._numbered is None else ()
        if self._numbered:
            placed = [(block.topic, block.text) for block in self._numbered.placed.get(number, ())]
        else:
            placed = [*own_texts(kept).items()]
        title, topics = self._titles[number]
        opening, weights = self._briefed(section)
        by_topic: dict[int, list[str]] = {}
        for topic, text in placed if topics else ():
            if topic is not None:
                by_topic.setdefault(topic, []).append(text)
        return Skeleton(
            number=number,
            title=title,
            topics=topics,
            target=section.lines,
            measure=measure_of(section, self.language),
            names=self.names,
            intro=tuple(text for topic, text in placed if topic is None or not topics),
            placed={topic: tuple(texts) for topic, texts in by_topic.items()},
            revised=(section.source_text or self.outline.source_text or self.book.source_text) == "revise",
            passages={**self.quoted_passages.get(0, {}), **self.quoted_passages.get(number, {})},
            opening=opening,
            weights=weights,
            kept=kept,
            newline=self.arrangement.newline if self._numbered is None else "\n",
        )

    @property
    def reference_tokens(self) -> int:
        """The most tokens of references that a request quotes."""
        return min(self.setup.profile.reference_tokens, self.setup.profile.context_window // WINDOW_SHARE)

    def _choose_passages(self) -> dict[int, dict[str, Passage]]:
        profile, sections, tokens = self.setup.profile, self.outline.sections, self.reference_tokens
        if not self.references or profile.aspects:  # a model that fills in forms cannot cite
            return {}
        asked = {
            section.number: " ".join(map(self.say, (section.title, *section.topics, section.note, *section.must_cite)))
            for section in sections
        }
        shared, count = self.references.shared, self.setup.counter.count
        whole, *ranked = rankings(
            shared, [f"{self.say(self.outline.title)} {' '.join(asked.values())}", *asked.values()]
        )
        chosen = {0: within_tokens([*whole, *shared], tokens - tokens // OWN_SHARE, count)}
        own_tokens = tokens - sum(count(shown("R100", passage)) for passage in chosen[0])
        for section, likely in zip(sections, ranked, strict=True):
            own = self.references.by_section.get(section.number, ())
            first = [*rankings(own, [asked[section.number]])[0], *own]
            chosen[section.number] = within_tokens([*first, *likely], own_tokens, count, taken=chosen[0])
        names = (f"R{number}" for number in itertools.count(1))
        return {number: {next(names): passage for passage in passages} for number, passages in chosen.items()}

    @property
    def section_references(self) -> str:
        """The passages that the sections' own requests quote, together, as far as they fit into one."""
        own = {name: one for number, found in self.quoted_passages.items() if number for name, one in found.items()}
        fitting = within_tokens([*own.values()], self.reference_tokens, self.setup.counter.count)
        return quoted({name: one for name, one in own.items() if one in fitting})

    def known_passages(self, section: int) -> dict[str, Passage]:
        """All that a section may cite, by mark."""
        if section not in self._known:
            self._known[section] = {passage.mark: passage for passage in reversed(self.references.of(section))}
        return self._known[section]

    def _cited(self, section: Section) -> list[Json]:
        """What the outline says of a section's citations; nothing where it says nothing: older drafts stay current."""
        said: list[Json] = [[one.said for one in section.references], [self.say(one) for one in section.must_cite]]
        return [said] if any(said) else []

    def ignored(self, section: int) -> frozenset[str]:
        """The kinds of findings that nobody wants to hear of in a section; 0: of the chapter as a whole."""
        own = next((one.ignore for one in self.outline.sections if one.number == section), ())
        of_original = OF_ORIGINAL if self.translated else ()
        return frozenset((*self.book.ignore, *self.outline.ignore, *own, *of_original))

    def brief_of(self, section: Section) -> SectionBrief | None:
        """The section's entry in the chapter's brief, None where there is none."""
        return self.brief.section(section) if self.brief else None

    def _briefed(self, section: Section) -> tuple[str, tuple[int, ...]]:
        """A section's opening by the brief, and the lines of each topic; those without any get an even share."""
        entry = self.brief_of(section)
        if entry is None or section.topic_lines:
            return entry.opening if entry else "", section.topic_lines
        found = [entry.topic(topic.every()) for topic in section.topics]
        given = [topic["lines"] for topic in found if topic.get("lines")]
        even = round(sum(given) / len(given)) if given else 0
        return entry.opening, tuple(topic.get("lines") or even for topic in found) if given else ()

    def code_check(self, workspace: Workspace, settings: Settings) -> CodeCheck:
        """How the chapter's code is judged. Blocks include files of the workspace, by paths from the chapter's document
        or the root. The outline says what the code is built with, and the brief what the outline leaves unsaid. Raises
        ``InputError`` for the path of a package that leads out of the workspace."""
        folder = workspace.source_path(self.outline.source).parent
        shared = self.brief.shared if self.brief else {}
        packages = {**cast("dict[str, Any]", shared.get("packages", {})), **self.outline.packages}

        def include(path: str) -> str | None:
            for base in (folder, workspace.root):
                with suppress(InputError):
                    file = workspace.inside(base / path)
                    if file.is_file():
                        return read_text(file)
            return None

        def files(section: Section) -> dict[str, tuple[str, ...]]:
            entry = self.brief_of(section)
            shown = [
                files_named(entry.topic(topic.every()).get("shows", ())) if entry else () for topic in section.topics
            ]
            titles = zip(section.topics, shown, strict=True)
            return {title_key(title): paths for topic, paths in titles for title in topic.every()} if any(shown) else {}

        def crate(said: str | dict[str, Any]) -> Crate:
            stated = {"version": said} if isinstance(said, str) else said
            path = workspace.inside(stated["path"]) if "path" in stated else None
            return Crate(str(stated.get("version", "*")), path, tuple(stated.get("features", ())))

        found = re.findall(r"2015|2018|2021|2024", self.outline.edition or str(shared.get("edition")))
        return CodeCheck(
            kept=workspace.state_path("code", "verdicts.json"),
            project=Project(
                edition=found[0] if found else "", crates={name: crate(said) for name, said in packages.items()}
            ),
            own=settings.code.checkers,
            run=settings.code.run,
            include=include,
            files={section.number: files(section) for section in self.outline.sections},
        )

    @cached_property
    def contents(self) -> Contents:
        """What references to sections can lead to. In the layout ``numbered`` the tool numbers sections within the
        chapter, so that "section 7.2" is no other chapter's."""
        others = [one.id for one in self.book.chapters if self.layout == "keep" and one.id != self.id]
        entries = {section.number: self.brief_of(section) for section in self.outline.sections}
        return Contents(
            titles={number: (title, *topics) for number, (title, topics) in self._titles.items()},
            introduced={n: entry.introduces for n, entry in entries.items() if entry},
            chapter=int(self.id) if self.id.isdecimal() else 0,
            chapters=frozenset(int(other) for other in others if other.isdecimal()),
        )

    def check(self, section: Section, text: str, refused: frozenset[int] = frozenset()) -> tuple[Finding, ...]:
        """What the section owes its outline and does not keep. The author's own blocks may be in another language than
        the draft. On the lines ``refused`` begin blocks that do not compile: they are no examples."""
        known, found = self._checked.get(section.number, (None, ()))
        if known == (text, refused):
            return found
        found = self._findings(section, text, refused)
        if any(finding.kind == "wrong-language" for finding in found):
            bare, skeleton = text, self.skeletons[section.number]
            for own in (*skeleton.intro, *chain.from_iterable(skeleton.placed.values())):
                bare = bare.replace(own.strip("\n"), "")
            if not any(finding.kind == "wrong-language" for finding in self._findings(section, bare, refused)):
                found = tuple(finding for finding in found if finding.kind != "wrong-language")
        self._checked[section.number] = (text, refused), found
        return found

    def _findings(self, section: Section, text: str, refused: frozenset[int]) -> tuple[Finding, ...]:
        skeleton = self.skeletons[section.number]
        found = check_section(
            section=section,
            title=skeleton.title,
            topics=skeleton.topics,
            text=text,
            target=section.lines,
            language=self.language,
            quality=self.outline.quality,
            share=sum(self.topic_examples(section)),
            refused=refused,
        )
        known, claims = self.known_passages(section.number), [self.say(claim) for claim in section.must_cite]
        cited: Iterable[Finding] = ()
        if known or claims:
            from expand.references.citations import citation_findings  # few sections cite

            cited = citation_findings(text, known, claims, section=section.number)
        named = term_variants(text, self._terms, section=section.number)
        every = sorted((*found, *cited, *named), key=lambda finding: finding.line)
        return not_ignored(every, {section.number: text}, self.ignored)

    @cached_property
    def _terms(self) -> tuple[Term, ...]:
        """What the brief and the book's memory have settled. A chapter may well define a term of its own again."""
        own = terms_of(self.brief.shared, f"briefs/{self.id}.yaml") if self.brief else ()
        memory = ((one.chapter, term) for one in self.others.memory for term in one.terms)
        return (*own, *(term._replace(means="") if chapter == self.id else term for chapter, term in memory))

    def key(self, section: Section, revision: Revision) -> str:
        """What the section is made from: the digest of each of ``PARTS``. What neighbours say is not in it, nor its
        number."""
        skeleton = self.skeletons[section.number]
        own: dict[str, Json] = {
            "source": [
                # Under ``keep`` not what stands above the topics: drafts from before requests showed it stay current.
                [*skeleton.intro] if self._numbered or not skeleton.topics else [],
                [[t, list(b)] for t, b in sorted(skeleton.placed.items())],
                *(["revise"] if skeleton.revised else ()),
            ],
            "revision": [revision.number, revision.instruction],
        }
        digests = {**self._shared_digests, **{name: digest(part) for name, part in own.items()}}
        digests["outline"] = self.outline_digest(section)
        return ".".join(digests[name] for name in PARTS)

    def outline_digest(self, section: Section) -> str:
        """The first part of a section's key: what its outline and its brief say of it."""
        title, topics = self._titles[section.number]
        said: list[Json] = [
            title,
            list(topics),
            section.lines,
            self.say(section.note),
            sum(self.topic_examples(section)),
            *self._cited(section),
        ]
        # Only where there is one: drafts from before there were briefs stay current.
        if (entry := self.brief_of(section)) is not None:
            said = [said, dict(entry.data)]
        if section.topic_lines:
            said = [said, [*section.topic_lines]]
        if (goal := section.goal(self.language))[1] != "lines":
            said = [said, [*goal]]
        return digest(said)

    @cached_property
    def _shared_digests(self) -> dict[str, str]:
        """What all sections of the chapter are made from."""
        profile, context = self.setup.profile, self.context
        shared: dict[str, Json] = {
            "book": [
                list(context.house_rules),
                context.audience,
                context.book_title,
                context.chapter_title,
                dict(context.glossary),
                *([context.brief] if context.brief else ()),
                *([said] if (said := [r.said for r in (*self.book.references, *self.outline.references)]) else ()),
                # By name alone: a word that is put right in a finished chapter buys nothing anew.
                *([list(voice)] if (voice := self.outline.voice or self.book.voice) else ()),
            ],
            "model": [
                profile.name,
                dict(profile.parameters),
                profile.lines_per_request,
                list(profile.aspects.get(self.language, ())),
                repr(profile.forms),
            ],
            "templates": self.prompts.fingerprint(),
            "language": self.language,
        }
        return {name: digest(part) for name, part in shared.items()}

    def topic_examples(self, section: Section) -> tuple[int, ...]:
        """The code examples that each topic of a section should have: one figure for prompts, checks and reports."""
        return topic_examples(self.outline, section, self.brief_of(section))

    def _context(self) -> ChapterContext:
        total, count = self.outline.target_lines, self.setup.counter.count
        most = self.setup.profile.context_window // OTHERS_SHARE
        return ChapterContext(
            language=self.language,
            language_name=LANGUAGE_NAMES.get(self.language, self.language),
            book_title=self.say(self.book.title),
            chapter_id=self.id,
            chapter_title=self.say(self.outline.title),
            audience=self.say(self.outline.audience or self.book.audience),
            house_rules=tuple(self.say(rule) for rule in self.book.house_rules),
            glossary={term: self.say(t) for term, t in {**self.book.glossary, **self.outline.glossary}.items()},
            code_examples=self.outline.quality.code_examples,
            code_language=self.outline.quality.code_language or "",
            sections=tuple(
                SectionContext(
                    number=skeleton.number,
                    title=skeleton.title,
                    topics=skeleton.topics,
                    share=round(100 * skeleton.target / total),
                )
                for skeleton in self.skeletons.values()
            ),
            code_check=self.setup.code_check,
            numbered=self.layout == "numbered",
            units=tuple(sorted({skeleton.measure.unit for skeleton in self.skeletons.values()})),
            brief=self.brief.text() if self.brief else "",
            cites=any(self.quoted_passages.values()),
            references=quoted(self.quoted_passages.get(0, {})),
            memory=told(
                self.others.memory,
                chapter=self.id,
                language=self.language,
                subject=" ".join(text for one in self.skeletons.values() for text in (one.title, *one.topics)),
                most_tokens=min(MEMORY_TOKENS, most),
                count=count,
            ),
            voice=excerpts(self.others.voice, min(VOICE_TOKENS, most), count),
            beside=self._beside(min(BESIDE_TOKENS, most)),
        )

    def _beside(self, most_tokens: int) -> str:
        """What a document that keeps its form says beside the outline's sections, as far as it fits."""
        # In the layout `numbered` it is a header and contents, which say nothing that the outline does not.
        pieces = self.arrangement.pieces if self.arrangement and self.layout == "keep" else ()
        page, shown = Page("".join(piece for piece in pieces if isinstance(piece, str))), ""
        for span in page.spans:
            if span.kind not in ("mark", "front-matter"):
                if self.setup.counter.count(shown + span.text) > most_tokens:
                    break
                shown += span.text
        return shown.strip()

    def say(self, text: Text | None) -> str:
        """A text in the draft's language, "" for none."""
        return text.say(self.language, self.book.language) if text else ""
