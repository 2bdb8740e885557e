"""Findings about links inside the chapter and to files beside it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping

from expand.checks.finding import Finding, excerpt
from expand.markdown import blocks
from expand.markdown.slug import anchor

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


def findings(texts: Mapping[int, str], *, exists: Callable[[str], bool] | None) -> Iterator[Finding]:
    """Links to an anchor that no heading makes, and relative links to a file that is not there."""
    known = anchors(texts[number] for number in sorted(texts))
    for section in sorted(texts):
        for link in blocks.links(texts[section]):
            what = _what_is_wrong(link.target, known, exists)
            if what:
                yield Finding(
                    kind="broken-link",
                    section=section,
                    line=link.line + 1,
                    severity="warning",
                    message=f"the link {excerpt(link.target)} leads nowhere: {what}",
                    remedy="correct the target or take the link out",
                    mendable=False,
                )


def _what_is_wrong(target: str, known: set[str], exists: Callable[[str], bool] | None) -> str:
    if _SCHEME.match(target) or target.startswith("/"):
        return ""
    path, _, aim = target.partition("#")
    path = path.partition("?")[0]
    if not path:
        missing = aim != "" and aim.lower() not in known
        return f"it is none of the {len(known)} anchors of the chapter" if missing else ""
    return "there is no such file" if exists is not None and not exists(path) else ""
