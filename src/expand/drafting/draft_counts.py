"""What drafts and documents hold, for reports: lines and words by section, counted as a run counts them."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from expand.document.draft import read
from expand.document.layout import Wanted, section_texts
from expand.document.page import Page
from expand.document.source import footer_line
from expand.markdown import lines
from expand.outline import Outline, Section
from expand.references.passages import citations_in


class DraftSummary(NamedTuple):
    """A draft: its language and plan ("" where it does not say), its lines and words by section number, and how often
    it cites a reference. ``whole`` is False for a document of which these sections are but a part."""

    language: str
    plan: str
    lines_by_section: Mapping[int, int]
    words_by_section: Mapping[int, int] = {}
    citations: int = 0
    whole: bool = True

    def delivered(self, section: Section) -> int:
        """The lines of a section; where its outline counts words, the lines that those come to."""
        goal, unit = section.goal(self.language)
        if unit == "lines":
            return self.lines_by_section.get(section.number, 0)
        return round(self.words_by_section.get(section.number, 0) * section.lines / goal)

    def of(self, sections: Iterable[Section]) -> int:
        """The same of several together."""
        return sum(map(self.delivered, sections))

    @property
    def lines(self) -> int:
        """The sum over its sections."""
        return sum(self.lines_by_section.values())


def draft_summary(text: str) -> DraftSummary | None:
    """What a draft holds, None where it has no section. All of it is parsed: 0.9 s for a book of 34,000 lines."""
    draft = read(text)
    return _summary(draft.language, draft.plan, draft.sections) if draft.sections else None


def document_summary(text: str, outline: Outline, language: str) -> DraftSummary:
    """What a document that keeps its form holds of an outline's sections; its other text is no part of them."""
    page = Page(text)
    wanted = [Wanted(section.title.every(), section.heading) for section in outline.sections]
    texts, whole = section_texts(page, wanted, end=footer_line(page))
    return _summary(language, "", texts)._replace(whole=whole)


def _summary(language: str, plan: str, texts: Mapping[int, str]) -> DraftSummary:
    return DraftSummary(
        language,
        plan,
        {number: lines.of_section(text) for number, text in texts.items()},
        {number: lines.words(text) for number, text in texts.items()},
        sum(map(citations_in, texts.values())),
    )
