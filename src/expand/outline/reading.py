"""Reading outlines and the book from YAML, with every problem of a file in one go.

What is raised is ``InputErrors`` (exit code 2) and nothing else, whatever the file holds; each
error names ``file:line:column``, what is wrong and how to mend it. What is odd but can be worked
with is a warning, which ``lint`` gives.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import cast

from expand.errors import Place
from expand.outline import (
    Allowance,
    Book,
    BookChapter,
    Opening,
    Outline,
    PlanSpec,
    Priority,
    Quality,
    Section,
    Style,
    Tier,
)
from expand.outline import schema as key
from expand.outline.lint import Warning_, lint
from expand.outline.schema import book_schema, outline_schema
from expand.schema.source_text import Problems, quoted, shown_path
from expand.schema.validators import Record, Values, suggestion
from expand.schema.yaml_positions import Items, Node, Pairs, Scalar, read_document

__all__ = ["Warning_", "book_schema", "lint", "outline_schema", "read_book", "read_outline"]

BUILT_IN_PLANS = ("full", "lean", "none")


def read_outline(path: Path, *, root: Path, chapter_id: str) -> Outline:
    """The outline of the chapter, from the file at ``path`` in the workspace at ``root``."""
    problems = Problems(shown_path(path, root))
    values = _read(key.OUTLINE, path, problems)
    if values is not None:
        _check_id(values, path, chapter_id, problems)
        _check_source(values, root, problems)
    problems.raise_if_any()
    return _outline(cast(Values, values), problems.shown)


def read_book(path: Path, *, root: Path) -> Book:
    """The book, from the file at ``path`` in the workspace at ``root``."""
    problems = Problems(shown_path(path, root))
    values = _read(key.BOOK, path, problems)
    if values is not None:
        for chapter in values.get(key.CHAPTERS) or ():
            _check_source(chapter, root, problems)
        _check_languages(values, problems)
        _check_references(values, problems)
        _check_plans(values, problems)
    problems.raise_if_any()
    return _book(cast(Values, values), problems.shown)


def _read(record: Record, path: Path, problems: Problems) -> Values | None:
    node = read_document(path, problems)
    return None if node is None else record.read(node, (), problems)


def _check_id(values: Values, path: Path, chapter_id: str, problems: Problems) -> None:
    found = values.get(key.ID_FIELD)
    if found is not None and found != unicodedata.normalize("NFC", chapter_id):
        what = f"id is {quoted(found)}, but the file is called {path.name}"
        problems.add(values.spot(key.ID_FIELD), what, f'write "{chapter_id}", or rename the file')


def _check_source(values: Values, root: Path, problems: Problems) -> None:
    """Refuse a source that leads out of the workspace through a link, or is a folder."""
    source = values.get(key.SOURCE_FIELD)
    if source is None:
        return
    spot = values.spot(key.SOURCE_FIELD)
    try:
        target = (root / source).resolve()
        inside = target.is_relative_to(root.resolve())
        folder = target.is_dir()
    except (OSError, RuntimeError):  # a loop of links, a name too long
        problems.add(spot, f"source {quoted(source)} cannot be followed", "name a file")
        return
    if not inside:
        what = f"source {quoted(source)} leads out of the workspace"
        problems.add(spot, what, "copy the document into it")
    elif folder:
        problems.add(spot, f"source {quoted(source)} is a folder", "name a file in it")


def _check_languages(values: Values, problems: Problems) -> None:
    language = values.get(key.DEFAULT_LANGUAGE)
    languages = values.get(key.LANGUAGES)
    if language is not None and languages and language not in languages:
        what = f"language {quoted(language)} is not among languages"
        problems.add(values.spot(key.DEFAULT_LANGUAGE), what, suggestion(language, languages))


def _check_references(values: Values, problems: Problems) -> None:
    """Refuse names of tiers and chapters that the book does not have."""
    chapters = values.get(key.CHAPTERS) or ()
    tiers = {tier.get(key.ID_FIELD) or "" for tier in values.get(key.TIERS) or ()}
    for chapter in chapters:
        tier = chapter.get(key.TIER)
        if tier is not None and tier not in tiers:
            _unknown("tier", tier, tiers, chapter.spot(key.TIER), problems)
    known = {chapter.get(key.ID_FIELD) or "" for chapter in chapters}
    for opening in values.get(key.OPENING) or ():
        for name in opening.get(key.IDS) or ():
            if name not in known:
                _unknown("chapter", name, known, opening.spot(key.IDS), problems)
    for plan in (values.get(key.PLANS) or {}).values():
        for name in plan.get(key.TARGETS) or {}:
            if name not in known:
                _unknown("chapter", name, known, plan.spot(key.TARGETS), problems)


def _unknown(noun: str, name: str, known: Iterable[str], node: Node, problems: Problems) -> None:
    """Note a name that the book lacks, at the name itself where the node holds several."""
    held: Sequence[Node] = ()
    if isinstance(node, Items):
        held = node.items
    elif isinstance(node, Pairs):
        held = [pair.key for pair in node.pairs]
    named = (at for at in held if isinstance(at, Scalar) and at.text == name)
    remedy = suggestion(name, sorted(known)) if known else f"add the {noun}"
    problems.add(next(named, node), f"the book has no {noun} {quoted(name)}", remedy)


def _check_plans(values: Values, problems: Problems) -> None:
    for name, plan in (values.get(key.PLANS) or {}).items():
        if name in BUILT_IN_PLANS:
            problems.add(plan.at, f"the plan {quoted(name)} is built in", "choose another name")


def _allowance(values: Values | None) -> Allowance | None:
    if values is None:
        return None
    return Allowance(tokens=_whole(values.get(key.TOKENS)), usd=values.get(key.USD))


def _whole(value: Decimal | None) -> int | None:
    return None if value is None else int(value)


def _hours(values: Values) -> float:
    hours = values.get(key.HOURS)
    return 0.0 if hours is None else float(hours)


def _style(values: Values, shown: str) -> Style | None:
    name = values.get(key.STYLE_FIELD)
    if name is None:
        return None
    spot = values.spot(key.STYLE_FIELD)
    return Style(name=name, place=Place(path=shown, line=spot.line, column=spot.column))


def _outline(values: Values, shown: str) -> Outline:
    quality = values.get(key.QUALITY)
    sections = values.need(key.SECTIONS)
    return Outline(
        id=values.need(key.ID_FIELD),
        title=values.need(key.TITLE),
        source=values.need(key.SOURCE_FIELD),
        sections=tuple(_section(number, section) for number, section in enumerate(sections, 1)),
        stated_lines=_whole(values.get(key.TARGET_LINES)),
        priority=cast(Priority, values.get(key.PRIORITY) or "medium"),
        hours=_hours(values),
        audience=values.get(key.AUDIENCE),
        quality=Quality() if quality is None else _quality(quality),
        glossary=values.get(key.GLOSSARY) or {},
        allowance=_allowance(values.get(key.ALLOWANCE)),
        style=_style(values, shown),
    )


def _section(number: int, values: Values) -> Section:
    return Section(
        number=number,
        title=values.need(key.TITLE),
        lines=int(values.need(key.LINES)),
        topics=values.get(key.TOPICS) or (),
        code_examples=_whole(values.get(key.CODE_EXAMPLES)),
        note=values.get(key.NOTE),
    )


def _quality(values: Values) -> Quality:
    return Quality(
        code_examples=_whole(values.get(key.CODE_EXAMPLES)) or 0,
        code_language=values.get(key.CODE_LANGUAGE),
    )


def _book(values: Values, shown: str) -> Book:
    languages = values.get(key.LANGUAGES)
    language = values.get(key.DEFAULT_LANGUAGE) or (languages[0] if languages else "en")
    plans = values.get(key.PLANS) or {}
    return Book(
        title=values.need(key.TITLE),
        language=language,
        languages=languages or (language,),
        allowance=_allowance(values.get(key.ALLOWANCE)) or Allowance(),
        audience=values.get(key.AUDIENCE),
        house_rules=values.get(key.HOUSE_RULES) or (),
        tiers=tuple(_tier(tier) for tier in values.get(key.TIERS) or ()),
        openings=tuple(_opening(opening) for opening in values.get(key.OPENING) or ()),
        chapters=tuple(_chapter(chapter) for chapter in values.get(key.CHAPTERS) or ()),
        plans={name: _plan(plan) for name, plan in plans.items()},
        style=_style(values, shown),
    )


def _tier(values: Values) -> Tier:
    return Tier(
        id=values.need(key.ID_FIELD),
        title=values.need(key.TITLE),
        target_lines=int(values.need(key.TIER_TARGET)),
        lines=_whole(values.get(key.KNOWN_LINES)),
    )


def _opening(values: Values) -> Opening:
    return Opening(
        chapters=values.need(key.IDS),
        tokens=_whole(values.get(key.SPENT_TOKENS)) or 0,
        hours=_hours(values),
        usd=values.get(key.SPENT_USD),
    )


def _chapter(values: Values) -> BookChapter:
    return BookChapter(
        id=values.need(key.ID_FIELD),
        title=values.need(key.TITLE),
        tier=values.get(key.TIER),
        lines_before=_whole(values.get(key.LINES_BEFORE)),
        lines=_whole(values.get(key.KNOWN_LINES)),
        target_lines=_whole(values.get(key.CHAPTER_TARGET)),
        finished=values.get(key.FINISHED) or False,
        source=values.get(key.SOURCE_FIELD),
    )


def _plan(values: Values) -> PlanSpec:
    targets = values.get(key.TARGETS) or {}
    return PlanSpec(
        targets={name: int(lines) for name, lines in targets.items()},
        factor=values.get(key.FACTOR),
    )
