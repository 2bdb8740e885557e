"""One chapter being expanded: what each section consists of, and the order for each question.

Everything here is determined by the outline, the book, the templates, the source document and the
profile. Two runs over the same input make the same orders.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cached_property

from expand.budget import Amount
from expand.completion import Address, Json, Purpose, Request
from expand.contract import Finding, check_section
from expand.drafting.asking import Ask
from expand.drafting.currency import key_of
from expand.drafting.manuscript import Frame, Manuscript
from expand.errors import InputError
from expand.ledger import ModelLimits, Order, no_price
from expand.model.pricing import Price
from expand.model.profile import Profile
from expand.model.prompt import (
    LANGUAGE_NAMES,
    ChapterContext,
    Prompts,
    RequestContext,
    SectionContext,
)
from expand.model.tokens import TokenCounter, raised
from expand.outline import Book, Outline, Section, Text
from expand.outline.plan import Plan, under
from expand.text import draft
from expand.text.source import place, read_source

TAIL_LINES = 24
"""Lines of what is written that a question shows the model, so that it goes on from there."""
BRIEF_TAIL_LINES = 4
LEAST_OUTPUT_TOKENS = 256
CHAT_SLACK_TOKENS = 8
"""Added to every prompt bound: servers differ in how many tokens the chat format takes."""
TRIES_STRIDE = 1000
"""Editions are this far apart, so that tries of one edition fit between."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Means:
    """What a chapter is written with: the model's profile, its tokens, its price, the templates.

    ``margin`` is the share by which prompt counts are raised for the reservation.
    """

    profile: Profile
    counter: TokenCounter
    price: Price | None
    prompts: Prompts
    margin: Callable[[], Decimal]
    unpriced: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Edition:
    """Which buying of a section this is, from 0, and what an editor wants of it."""

    number: int = 0
    instruction: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Setting:
    """What a section is drafted into: what earlier sections say (``told``, "" when they are drafted
    side by side) and, for a revision, the text of each topic as it stands.
    """

    told: str = ""
    present: Mapping[int, str] = field(default_factory=dict)

    def present_of(self, slots: Sequence[int]) -> str:
        """The present text of some topics."""
        return "\n\n".join(self.present[slot] for slot in slots if slot in self.present)


NO_EDITION = Edition()
NO_SETTING = Setting()
TEMPLATE_OF: Mapping[Purpose, str] = {
    "draft": "section.j2",
    "revise": "section.j2",
    "continue": "continue.j2",
    "repair": "repair.j2",
}


class Chapter:
    """A chapter under a plan in a language. ``target_lines`` follow the plan."""

    def __init__(
        self,
        *,
        book: Book,
        outline: Outline,
        source_text: str,
        plan: Plan,
        language: str,
        means: Means,
    ) -> None:
        self.outline = under(plan, outline)
        self.plan = plan
        self.language = language
        self._book = book
        self._means = means
        self._outline_as_read = outline
        self._keys: dict[tuple[int, Edition], str] = {}
        self._checked: dict[int, tuple[str, tuple[Finding, ...]]] = {}
        self.source_text = source_text
        self._source = read_source(source_text)
        self._placed = place(self._source, outline)
        self._system = means.prompts.system(self._chapter_context())

    @property
    def id(self) -> str:
        """The chapter's id."""
        return self.outline.id

    @property
    def footer(self) -> str:
        """The source's closing lines, without the rule above them: the draft has its own."""
        lines = self._source.footer.strip("\n").split("\n")
        closing = lines[1:] if lines[0].strip() in ("---", "***", "___") else lines
        return "\n".join(closing).strip("\n")

    @cached_property
    def leaner(self) -> Chapter | None:
        """The same chapter under the lean plan, None if it is lean already."""
        if self.plan is Plan.LEAN:
            return None
        return Chapter(
            book=self._book,
            outline=self._outline_as_read,
            source_text=self.source_text,
            plan=Plan.LEAN,
            language=self.language,
            means=self._means,
        )

    def head(self) -> str:
        """The draft's header and table of contents."""
        title = self._say(self.outline.title)
        lines = self._source.header.strip("\n").split("\n")
        if lines and lines[0].startswith("# "):
            if lines[0][2:].strip() not in self.outline.title.every():
                title_line = lines[0] if not self._other_language(lines[0]) else f"# {title}"
            else:
                title_line = f"# {title}"
            lines = [title_line, *lines[1:]]
        else:
            lines = [f"# {title}", "", *lines]
        titles = [f"{s.number}. {self._say(s.title)}" for s in self.outline.sections]
        return draft.head("\n".join(lines), titles, self.language)

    def title(self, section: Section) -> str:
        """A section's title in the draft's language."""
        return self._say(section.title)

    def frame(self, section: Section) -> Frame:
        """What the section consists of before a model wrote anything."""
        intro: list[str] = []
        by_topic: dict[int, list[str]] = {}
        for block in self._placed.get(section.number, ()):
            if block.topic is None or not section.topics:
                intro.append(block.text)
            else:
                by_topic.setdefault(block.topic, []).append(block.text)
        return Frame(
            number=section.number,
            title=self._say(section.title),
            topics=tuple(self._say(topic) for topic in section.topics),
            target=section.lines,
            intro=tuple(intro),
            placed={topic: tuple(texts) for topic, texts in by_topic.items()},
        )

    def check(self, section: Section, text: str) -> tuple[Finding, ...]:
        """What the section owes its outline and does not keep. The author's own blocks may be in
        another language than the draft.
        """
        known = self._checked.get(section.number)
        if known is None or known[0] != text:
            known = self._checked[section.number] = (text, self._fair_findings(section, text))
        return known[1]

    def _fair_findings(self, section: Section, text: str) -> tuple[Finding, ...]:
        found = self._findings(section, text)
        if any(finding.kind == "wrong-language" for finding in found):
            bare = text
            for block in self._placed.get(section.number, ()):
                bare = bare.replace(block.text.strip("\n"), "")
            wrong = any(f.kind == "wrong-language" for f in self._findings(section, bare))
            return found if wrong else tuple(f for f in found if f.kind != "wrong-language")
        return found

    def _findings(self, section: Section, text: str) -> tuple[Finding, ...]:
        frame = self.frame(section)
        return check_section(
            section=section,
            title=frame.title,
            topics=frame.topics,
            text=text,
            target=section.lines,
            language=self.language,
            quality=self.outline.quality,
        )

    def key(self, section: Section, edition: Edition) -> str:
        """What the section is made from (see ``currency``). What neighbours say is not in it."""
        known = self._keys.get((section.number, edition))
        if known is None:
            known = self._keys[section.number, edition] = key_of(self._parts(section, edition))
        return known

    def _parts(self, section: Section, edition: Edition) -> dict[str, Json]:
        frame = self.frame(section)
        profile = self._means.profile
        return {
            "outline": [
                frame.number,
                frame.title,
                list(frame.topics),
                frame.target,
                self._say(section.note) if section.note else "",
                self._examples(section),
            ],
            "source": [list(frame.intro), [[t, list(b)] for t, b in sorted(frame.placed.items())]],
            "book": [
                [self._say(rule) for rule in self._book.house_rules],
                self._audience(),
                self._say(self._book.title),
                self._say(self.outline.title),
                {term: self._say(text) for term, text in self.outline.glossary.items()},
            ],
            "model": [
                profile.name,
                dict(profile.parameters),
                profile.lines_per_request,
                list(profile.aspects.get(self.language, ())),
                repr(profile.forms),
            ],
            "templates": self._means.prompts.fingerprint(),
            "language": self.language,
            "edition": [edition.number, edition.instruction],
        }

    def order(
        self,
        section: Section,
        ask: Ask,
        manuscript: Manuscript,
        *,
        run_id: str,
        edition: Edition,
        attempt: int = 0,
        setting: Setting = NO_SETTING,
    ) -> Order:
        """The order for a question. ``attempt`` counts answers to it that could not be used."""
        means = self._means
        profile = means.profile
        context = self._request_context(section, ask, manuscript, edition, setting)
        template = TEMPLATE_OF[ask.purpose]
        messages = (
            self._system,
            means.prompts.request(template, context),
        )
        cap = max(LEAST_OUTPUT_TOKENS, profile.output_cap(ask.lines))
        request = Request(
            model=profile.name,
            messages=messages,
            max_output_tokens=min(cap, profile.max_output_tokens),
            parameters=profile.request_parameters(
                lines=ask.lines,
                aspect=context.aspect,
                topic=context.topics[0] if context.topics else context.section_title,
            ),
            edition=edition.number * TRIES_STRIDE + attempt,
        )
        estimate = means.counter.count_messages(messages)
        prompt = raised(estimate, means.margin()) + CHAT_SLACK_TOKENS
        self._require_room(section, prompt, request.max_output_tokens)
        price = means.price
        return Order(
            request=request,
            address=Address(chapter=self.id, section=section.number, purpose=ask.purpose),
            run_id=run_id,
            language=self.language,
            plan=self.plan.value,
            prompt_tokens=prompt,
            prompt_estimate=estimate,
            amount=Amount(
                tokens=prompt + request.max_output_tokens,
                pico_usd=price.bound(prompt, request.max_output_tokens) if price else None,
            ),
            rates=ModelLimits(rpm=profile.rpm, tpm=profile.tpm),
            cost=price.cost if price else no_price,
            unpriced=means.unpriced,
            question=self._question(section, ask, edition, attempt, setting),
            rank=0 if any(body.strip() for body in manuscript.bodies) else 1,
        )

    def _question(
        self, section: Section, ask: Ask, edition: Edition, attempt: int, setting: Setting
    ) -> str:
        slots = ",".join(str(slot) for slot in ask.slots)
        key = self.key(section, edition)
        words = (self.id, key, ask.purpose, slots, str(ask.ordinal), str(attempt), setting.told)
        return hashlib.sha256("|".join(words).encode()).hexdigest()

    def _require_room(self, section: Section, prompt: int, output: int) -> None:
        window = self._means.profile.context_window
        if prompt + output > window:
            raise InputError(
                f"chapter {self.id}, section {section.number}: a prompt of {prompt:,} tokens and "
                f"{output:,} of output do not fit {self._means.profile.name}'s context window of "
                f"{window:,}",
                remedy="shorten the house rules or the topics, or take a model with a larger one",
            )

    def _request_context(
        self,
        section: Section,
        ask: Ask,
        manuscript: Manuscript,
        edition: Edition,
        setting: Setting,
    ) -> RequestContext:
        frame = manuscript.frame
        aspects = self._means.profile.aspects.get(self.language, ())
        position = section.number - 1
        sections = self.outline.sections
        material = [*frame.intro] if 0 in ask.slots and ask.part == 0 else []
        for slot in ask.slots:
            material += frame.placed.get(slot, ())
        first = ask.part == 0 and ask.purpose != "repair"
        continuing = ask.purpose == "continue"
        repairing = ask.purpose == "repair"
        present = manuscript.bodies[ask.slots[0]] if repairing else setting.present_of(ask.slots)
        return RequestContext(
            language=self.language,
            audience=self._audience(),
            chapter_id=self.id,
            chapter_title=self._say(self.outline.title),
            section_number=section.number,
            section_title=frame.title,
            topics=tuple(frame.topics[slot] for slot in ask.slots if frame.topics),
            lines=ask.lines,
            previous_section=self._say(sections[position - 1].title) if position else "",
            section_note=self._say(section.note) if section.note else "",
            source_material="\n\n".join(material) if first else "",
            before=self._before(ask, manuscript, brief=bool(aspects)),
            open_fence=manuscript.fence(ask.slots[0]) if continuing else "",
            aspect=aspects[ask.part % len(aspects)] if aspects else "",
            code_examples=self._examples_of(section, ask, frame) if first else 0,
            instruction=edition.instruction,
            present=present.strip("\n"),
            told=setting.told if first else "",
            problems=ask.problems,
        )

    @staticmethod
    def _before(ask: Ask, manuscript: Manuscript, *, brief: bool) -> str:
        """The end of what the question goes on from: its topic's text, or the topic's before."""
        most = BRIEF_TAIL_LINES if brief else TAIL_LINES
        for slot in range(ask.slots[0], -1, -1):
            if manuscript.bodies[slot].strip():
                return manuscript.tail(slot, most)
        return ""

    def _examples(self, section: Section) -> int:
        if section.code_examples is not None:
            return section.code_examples
        wanted = self.outline.quality.code_examples
        return round(wanted * section.lines / self.outline.target_lines)

    def _examples_of(self, section: Section, ask: Ask, frame: Frame) -> int:
        """The code examples that one question should bring: its topics' part of the section's."""
        slots = max(1, len(frame.topics))
        wanted = self._examples(section)
        before = round(wanted * ask.slots[0] / slots)
        return round(wanted * (ask.slots[-1] + 1) / slots) - before

    def _chapter_context(self) -> ChapterContext:
        total = self.outline.target_lines
        return ChapterContext(
            language=self.language,
            language_name=LANGUAGE_NAMES.get(self.language, self.language),
            book_title=self._say(self._book.title),
            chapter_id=self.id,
            chapter_title=self._say(self.outline.title),
            audience=self._audience(),
            house_rules=tuple(self._say(rule) for rule in self._book.house_rules),
            glossary={term: self._say(text) for term, text in self.outline.glossary.items()},
            code_examples=self.outline.quality.code_examples,
            code_language=self.outline.quality.code_language or "",
            sections=tuple(
                SectionContext(
                    number=section.number,
                    title=self._say(section.title),
                    topics=tuple(self._say(topic) for topic in section.topics),
                    share=round(100 * section.lines / total),
                )
                for section in self.outline.sections
            ),
        )

    def _audience(self) -> str:
        audience = self.outline.audience or self._book.audience
        return self._say(audience) if audience else ""

    def _say(self, text: Text) -> str:
        return text.say(self.language, self._book.language)

    def _other_language(self, text: str) -> bool:
        """Whether a title is plainly not in the draft's language: Latin letters for Chinese."""
        cjk = any("\u4e00" <= character <= "\u9fff" for character in text)
        return cjk != (self.language in ("zh", "ja"))
