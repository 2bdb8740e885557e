"""Find link references and footnotes that a chapter uses and does not define."""

import re
from collections.abc import Container, Mapping

from expand.checks.finding import Finding, excerpt, finding
from expand.markdown import names

_RANGE = re.compile(r"\^\w-\w")
"""``[^a-z]`` is part of a regular expression."""


def undefined_references(texts: Mapping[int, str], known: Container[str]) -> list[Finding]:
    """Each name once, where it is used first. ``texts`` are the sections by number; ``known`` are names that are
    defined elsewhere."""
    missing = names.lacking(list(texts.values()), known)
    found = []
    for section in sorted(texts):
        for use in names.uses(texts[section]) if missing else ():
            if use.sure and use.name in missing and not _RANGE.fullmatch(use.said):
                missing.remove(use.name)
                what = f"the footnote [{use.said}]" if use.form == "note" else f"the link reference [{use.said}]"
                found.append(finding("undefined-reference", section, use.line + 1, f"{excerpt(what)} is not defined"))
    return found
