"""The checks there are, in one list for each thing that is checked: a text, a section, a chapter."""

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType

from expand.checks import links, repeats, requirements, text_defects
from expand.checks.finding import Finding, Severity
from expand.markdown import blocks
from expand.markdown.names import definitions
from expand.outline import Quality, Section


def check_text(text: str, *, section: int) -> tuple[Finding, ...]:
    """What is wrong with a text whatever its outline says, in the order of lines."""
    return _by_line(
        text_defects.open_fences(text, section=section),
        text_defects.broken_code(text, section=section),
        text_defects.cut_texts(text, section=section),
        text_defects.forbidden_characters(text, section=section),
        text_defects.placeholders(text, section=section),
        repeats.within_section(text, section=section),
        text_defects.talk(text, section=section),
        text_defects.thin_text(text, section=section),
    )


def check_section(
    *,
    section: Section,
    title: str,
    topics: Sequence[str],
    text: str,
    target: int,
    language: str,
    quality: Quality,
    share: int = 0,
    refused: Collection[int] = (),
) -> tuple[Finding, ...]:
    """Everything that a section owes its outline and does not keep, in the order of lines.

    ``text`` begins with the section's heading and holds those of its topics; ``title`` and
    ``topics`` are in ``language``; ``target`` is in lines, for a section whose outline counts those. ``share`` are the
    section's code examples of those that the chapter demands, which are noted where the section demands none itself;
    for ``refused`` see ``examples_of``."""
    number = section.number
    goal, unit = section.goal(language)
    examples = requirements.examples_of(text, quality.code_language, refused=refused)
    severity: Severity
    wanted, severity = (share, "note") if section.code_examples is None else (section.code_examples, "warning")
    return _by_line(
        requirements.wrong_length(text, section=number, target=target if unit == "lines" else goal, unit=unit),
        check_text(text, section=number),
        requirements.missing_topics(text, title, topics, section=number),
        requirements.unknown_headings(text, topics, section=number),
        text_defects.wrong_language(text, [title, *topics], section=number, language=language),
        requirements.few_examples(examples, wanted, quality.code_language, section=number, severity=severity),
    )


def check_chapter(
    texts: Mapping[int, str],
    *,
    around: Sequence[str] = (),
    quality: Quality | None = None,
    exists: Callable[[str], bool] | None = None,
    any_slug: bool = False,
    others: Mapping[str, str] | None = None,
    names: Collection[str] = (),
    refused: Mapping[int, Collection[int]] = MappingProxyType({}),
    contents: links.Contents | None = None,
) -> tuple[Finding, ...]:
    """Near-copies across sections, links that lead nowhere, and too few examples in all.

    ``texts`` holds the sections by number; what stands around them may go along under 0, to be checked too, or as
    ``around``. ``exists`` says whether a link's path is there; without it only anchors are checked. For ``any_slug``
    see ``links.broken_links``. ``names`` are the link references and footnotes that are defined elsewhere, ``others``
    the texts of the book's other chapters by file. ``refused`` is by
    section what ``examples_of`` takes. ``contents`` is what references to sections can lead to; without it they are not
    checked."""
    defined = {found.name for text in around for found in definitions(text)}.union(names)
    found = [
        *repeats.across_sections(texts),
        *repeats.across_chapters(texts, others or {}),
        *links.broken_links(texts, around=around, exists=exists, any_slug=any_slug),
        *links.undefined_references(texts, defined),
    ]
    if contents is not None:
        found += links.wrong_pointers(texts, contents, around)
    if quality is not None:
        wanted, language = quality.code_examples, quality.code_language
        have = sum(
            requirements.examples_of(text, language, refused=refused.get(number, ())) for number, text in texts.items()
        )
        found += requirements.few_examples(have, wanted, language, section=0)
    return tuple(found)


def _by_line(*findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """All findings in the order of lines; those of one line in the order of the checks."""
    return tuple(sorted((one for found in findings for one in found), key=lambda one: one.line))


_COMMENT = re.compile(
    r"(?m)(?:<!--|\{/\*|^%)\s*expand:\s*ignore\s+(?P<kinds>[a-z-]+(?:[ \t,]+[a-z-]+)*?)[ \t]*(?:-->|\*/\}|$)"
)

_ANY_COMMENT = re.compile(r"(?ms)<!--.*?-->|\{/\*.*?\*/\}|^%[^\n]*$")


def not_ignored(
    findings: Iterable[Finding], texts: Mapping[int, str], ignored: Callable[[int], frozenset[str]]
) -> tuple[Finding, ...]:
    """The findings that are not silenced. ``texts`` holds the sections by number; ``ignored`` says which kinds are
    silenced in a whole section, 0 being the chapter."""
    silenced = {number: list(_silenced_lines(text)) for number, text in texts.items() if "expand:" in text}
    return tuple(
        one
        for one in findings
        if one.kind not in ignored(one.section)
        and not any(one.line in lines and one.kind in kinds for lines, kinds in silenced.get(one.section, ()))
    )


def _silenced_lines(text: str) -> Iterator[tuple[range, frozenset[str]]]:
    """The lines of the block below each comment ``expand: ignore KIND``, counted from 1, and the kinds."""
    kinds: set[str] = set()
    for block in blocks.blocks(text):
        rest = block.text
        if block.kind in ("html", "paragraph"):
            kinds.update(kind for found in _COMMENT.finditer(rest) for kind in re.split(r"[\s,]+", found["kinds"]))
            rest = _ANY_COMMENT.sub("", rest)
        if rest.strip():
            yield range(block.start + 1, block.end + 1), frozenset(kinds)
            kinds.clear()
