"""Check links inside the chapter and to files beside it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping

from expand.checks.finding import Finding, excerpt, finding
from expand.markdown import blocks
from expand.markdown.blocks import anchor

_SCHEME = re.compile(r"(?i)[a-z][a-z0-9+.-]*:|//")
_ID = re.compile(r"<[a-zA-Z][^>]*?\s(?:id|name)\s*=\s*[\"']?([^\"'\s>]+)")


def anchors(texts: Iterable[str]) -> set[str]:
    """All anchors of a document whose parts follow each other."""
    found: set[str] = set()
    met: dict[str, int] = {}
    for text in texts:
        for block in blocks.headings(text):
            base = anchor(block.title)
            times = met.get(base, 0)
            met[base] = times + 1
            found.add(f"{base}-{times}" if times else base)
        found.update(match.lower() for match in _ID.findall(text))
    return found


def broken_links(texts: Mapping[int, str], *, exists: Callable[[str], bool] | None) -> list[Finding]:
    """Links to an anchor that no heading makes, and relative links to a file that is not there."""
    known = anchors(texts[number] for number in sorted(texts))
    return [
        finding("broken-link", section, link.line + 1, f"the link {excerpt(link.target)} leads nowhere: {what}")
        for section in sorted(texts)
        for link in blocks.links(texts[section])
        if (what := _what_is_wrong(link.target, known, exists))
    ]


def _what_is_wrong(target: str, known: set[str], exists: Callable[[str], bool] | None) -> str:
    if _SCHEME.match(target) or target.startswith("/"):
        return ""
    path, _, fragment = target.partition("#")
    path = path.partition("?")[0]
    if not path:
        missing = fragment != "" and fragment.lower() not in known
        return f"it is none of the {len(known)} anchors of the chapter" if missing else ""
    return "there is no such file" if exists is not None and not exists(path) else ""
