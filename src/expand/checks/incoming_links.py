"""Find links of other pages that a draft would break: to anchors that its document has and the draft has not."""

import posixpath
import re
from collections.abc import Iterable

from expand.checks.finding import Finding, excerpt, finding
from expand.document.page import Page, anchors
from expand.document.source import fragments

_ENDING = re.compile(r"(?:(?:^|/)(?:index|readme))?(?:\.(?:mdx?|markdown|html?))?/?$", re.IGNORECASE)
_ID = re.compile(r"<[a-zA-Z][^>]*?\s(?:id|name)\s*=\s*[\"']?([^\"'\s>]+)")


def anchors_of(text: str) -> set[str]:
    """The anchors that links to a document may name, in lower case."""
    headings = Page(text).headings
    explicit = [name for heading in headings for name in heading.identifiers]
    return {name.lower() for name in (*anchors(headings), *explicit, *_ID.findall(text))}


def broken_incoming(pages: Iterable[tuple[str, str]], path: str, gone: set[str]) -> list[Finding]:
    """A finding for each link of the ``pages``, given as path and text, to an anchor that is ``gone`` from the document
    at ``path``."""
    found = []
    for page, text in pages:
        for fragment in fragments(text) if page != path else ():
            if fragment.anchor in gone and _leads_to(fragment.page, page, path):
                line = text.count("\n", 0, fragment.place[0]) + 1
                message = f"{page}:{line}: its link to #{excerpt(fragment.anchor)} would lead nowhere"
                found.append(finding("breaks-link", 0, 1, message))
    return found


def _leads_to(target: str, page: str, path: str) -> bool:
    """Whether a link of a page names the document at ``path``: by its file, its address without or with ``.html``, or
    its folder's address; relative to the page or, for sites whose pages are folders, to its address."""
    target, wanted = target.partition("?")[0], _ENDING.sub("", path)
    if not target or ":" in target:
        return False
    if target.startswith("/"):
        own = _ENDING.sub("", target).strip("/")
        return bool(own) and f"/{wanted}".endswith(f"/{own}")
    bases = {posixpath.dirname(page), _ENDING.sub("", page)}
    return any(_ENDING.sub("", posixpath.normpath(posixpath.join(base, target))) == wanted for base in bases)
