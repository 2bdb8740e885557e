"""What kind of page a document is, and whether it is finished or a stub."""

import re
from dataclasses import dataclass
from typing import Literal

from expand.document.layout import is_placeholder
from expand.document.page import Page
from expand.markdown import lines, matching

PageKind = Literal["chapter", "index", "changelog", "reference"]
TARGETS: dict[PageKind, int] = {"chapter": 600, "index": 60, "changelog": 60, "reference": 200}
"""Lines that a page of a kind gets unless it has more."""
WORDS_A_PAGE = 50
WORDS_A_HEADING = 25
"""A page with fewer words, or fewer for each of its headings, is a stub; two Chinese characters count as a word. Of the
finished pages of ten public trees one in twenty has fewer; three stubs of a user had 7 to 13 a heading, and much code.
"""

_KINDS: tuple[tuple[PageKind, re.Pattern[str]], ...] = (
    ("changelog", re.compile(r"(?i)(?:^|/)(?:changelog|changes|history|news|release[_-]?notes|whats?[_-]?new)\.\w+$")),
    ("reference", re.compile(r"(?i)(?:^|/)(?:api|apis|ref|references?|glossary|faq)(?:/|\.\w+$)")),
    ("index", re.compile(r"(?i)(?:^|/)(?:index|readme|home|_?index)\.\w+$")),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class PageState:
    """A page: ``lines`` are those that it has, ``target`` those that fit its kind."""

    kind: PageKind = "chapter"
    lines: int = 0
    finished: bool = False

    @property
    def target(self) -> int:
        """The lines to plan for."""
        return max(1, self.lines) if self.finished else max(TARGETS[self.kind], self.lines)


def page_state(text: str, file: str) -> PageState:
    """The state of a document by its text and its path.

    A stub has headings with little text, or a placeholder. What is made of components, includes or HTML alone has no
    text to miss; neither has what is not there."""
    kind: PageKind = next((kind for kind, pattern in _KINDS if pattern.search(file)), "chapter")
    page = Page(text)
    words, placeholders, other = 0, 0, False
    for span in page.spans:
        block = span.block
        if block is not None and is_placeholder(block):
            placeholders += 1
        elif span.kind == "container" or (block is not None and block.kind not in ("heading", "fence", "code", "html")):
            words += sum(matching.sizes([span.text])[0][:1]) + matching.cjk_letters(span.text) // 2
        other = other or span.kind == "container" or (block is not None and block.kind in ("html", "fence"))
    made = other and not page.headings and words < WORDS_A_PAGE
    enough = words >= max(WORDS_A_PAGE, WORDS_A_HEADING * len(page.headings))
    finished = kind == "changelog" or made or (enough and not placeholders)
    return PageState(kind=kind, lines=lines.effective(text), finished=finished)
