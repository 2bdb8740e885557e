"""Check links inside the chapter and to files beside it, and links of other pages to the chapter."""

import posixpath
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping

from expand.checks.finding import Finding, excerpt, finding
from expand.document.source import fragments
from expand.markdown import blocks
from expand.markdown.blocks import anchor

_SCHEME = re.compile(r"(?i)[a-z][a-z0-9+.-]*:|//")
_EXPLICIT = re.compile(
    r"""(?mx)<[a-zA-Z][^>]*?\s(?:id|name)\s*=\s*["']?([^"'\s>]+)   # HTML and JSX
    | \{:?[^{}\n]*?\#([^\s{}#]+)[^{}\n]*\}                        # {#id}, {: #id .class }
    | ^\s*\(([^\s()]+)\)=\s*$ | ^\s*:(?:name|label):\s*(\S+)     # MyST
    | \s:id=(\S+)                                                # docsify
    """
)
_ENDING = re.compile(r"(?:(?:^|/)(?:index|readme))?(?:\.(?:mdx?|markdown|html?))?/?$", re.IGNORECASE)
_NESTED_HEADING = re.compile(r"(?m)^[\s>*+-]*#{1,6}[ \t]+(.+?)[ \t#]*$")
_INCLUDED_PAGE = re.compile(r"(?m)(?:include|--8<--|^import\b)[^\n]*\.(?:mdx?|markdown|rst|txt)\b")


def anchors(texts: Iterable[str]) -> set[str]:
    """All anchors of a document whose parts follow each other, in lower case: those of headings, also in containers,
    tabs and quotes, and explicit ids, as the site generators write them."""
    found: set[str] = set()
    met: Counter[str] = Counter()
    for text in texts:
        for block in blocks.blocks(text):
            nested = () if block.kind == "fence" else _NESTED_HEADING.findall(block.text)
            for title in (block.title,) if block.kind == "heading" else nested:
                base = anchor(blocks.without_attributes(title))
                found.add(f"{base}-{met[base]}" if met[base] else base)
                met[base] += 1
        found.update(name.lower() for names in _EXPLICIT.findall(text) for name in names if name)
    return found


def broken_links(
    texts: Mapping[int, str],
    *,
    around: Iterable[str] = (),
    exists: Callable[[str], bool] | None,
    any_slug: bool = False,
) -> Iterator[Finding]:
    """Links to an anchor that nothing makes, and links to a file that is not there.

    ``around`` is the document outside of the sections, whose anchors count too. With ``any_slug`` anchors are compared
    by their letters and digits, since each site generator makes them in its own way. Where the document includes
    another page, its anchors are not known, and none is missing."""
    every = [*(texts[number] for number in sorted(texts)), *around]
    form = _letters if any_slug else str.lower
    known = None if any(map(_INCLUDED_PAGE.search, every)) else set(map(form, anchors(every)))
    for section in sorted(texts):
        for link in blocks.links(texts[section]):
            if _SCHEME.match(link.target):
                continue
            path, _, fragment = link.target.partition("#")
            path = path.partition("?")[0]
            what = ""
            if path and exists is not None and not exists(path):
                what = "there is no such file"
            elif not path and fragment and known is not None and form(fragment) not in known:
                what = f"it is none of the {len(known)} anchors of the chapter"
            if what:
                message = f"the link {excerpt(link.target)} leads nowhere: {what}"
                yield finding("broken-link", section, link.line + 1, message)


def _letters(name: str) -> str:
    """An anchor without accents and what generators make of spaces and punctuation; not less than what it is."""
    bare = "".join(c for c in unicodedata.normalize("NFKD", name.lower()) if c.isalnum())
    return bare or name


# Links of other pages that a draft would break: to anchors that its document has and the draft has not.


def broken_incoming(pages: Iterable[tuple[str, str]], path: str, gone: set[str]) -> list[Finding]:
    """A finding for each link of the ``pages``, given as path and text, to an anchor that is ``gone`` from the document
    at ``path``."""
    found = []
    for own, text in pages:
        for fragment in fragments(text) if own != path else ():
            if fragment.anchor in gone and _leads_to(fragment.page, own, path):
                line = text.count("\n", 0, fragment.place[0]) + 1
                message = f"{own}:{line}: its link to #{excerpt(fragment.anchor)} would lead nowhere"
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
