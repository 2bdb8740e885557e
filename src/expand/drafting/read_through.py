"""The read-through: a model reads a whole draft once, and what it finds is mended in the lines that it quotes.

Two requests, addressed to section 0: one has the draft read, one has the findings confirmed or rejected. Between them
stand rules that no model decides. A quote has to stand in the draft, just once; a finding's edits are made together or
not at all; none touches a heading, the author's own text or a section that a person edited; and none is made after
which the checks find more. Every byte that no confirmed finding quotes stays as it was.
"""

import asyncio
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

from expand.checks import Finding, not_ignored
from expand.checks.finding import KINDS, Severity, excerpt, finding
from expand.document.draft import hidden_line
from expand.drafting.chapter import Chapter
from expand.drafting.chapter_requests import FIRST, Made, Tried, ask, json_in, unreadable
from expand.drafting.draft_file import DraftFile
from expand.drafting.draft_state import ReadRecord, hashes, keep_record, read_record
from expand.drafting.model_setup import ModelSetup
from expand.drafting.request_builder import WHOLE, Orders
from expand.drafting.run_context import RunContext
from expand.errors import InputError, Place
from expand.ledger import Order
from expand.llm.profile import strict_object
from expand.llm.types import Answer
from expand.markdown.assemble import close
from expand.markdown.blocks import blocks, newline_of, rows
from expand.markdown.sanitize import without_forbidden
from expand.prompts.context import LANGUAGE_NAMES, ChangeContext, ReviewContext, SectionContext
from expand.schema import Json

if TYPE_CHECKING:
    from expand.code_check.chapter_code import ChapterVerdicts

READ_KINDS = (
    "contradiction", "repeated-explanation", "wrong-pointer", "seam", "unkept-promise", "unsupported-figure",
    "wrong-statement",
)  # fmt: skip
"""The kinds of findings that a reader reports; what it calls otherwise is the last of them."""
MOST_FINDINGS = 14
MOST_REQUESTS = 2
OUTPUT_TOKENS: Mapping[str, int] = {"review.j2": 6_000, "second_look.j2": 1_000}
"""The output caps. Fourteen findings of a strong reader, with what to write instead, took 5,000."""
MOST_SAID = 400
"""Characters of what a reader says of a fault."""
LINES_AROUND = 2
"""Lines above and below a change that the second look is shown."""
BY_HAND = "the section was edited by hand"

Judge = Callable[[Mapping[int, str]], "ChapterVerdicts"]
_Entries = list[Mapping[str, Any]]
Weight = Counter[tuple[Severity, str]]
"""How many findings of each severity and kind a chapter has."""

_LINE_END = re.compile(r"\r\n?|\n")
_LINE_AND_BLANK = re.compile(r"(?:\r\n?|\n)(?:[ \t]*(?:\r\n?|\n))?")
_TEXT: Json = {"type": "string"}
_QUOTED: dict[str, Json] = {"section": {"type": "integer"}, "quote": _TEXT}
_EDITS: Json = {"type": "array", "items": strict_object({**_QUOTED, "text": _TEXT})}
_KIND: Json = {"type": "string", "enum": [*READ_KINDS]}
_FINDING = strict_object({"kind": _KIND, **_QUOTED, "problem": _TEXT, "edits": _EDITS})
_VERDICT = strict_object({"finding": {"type": "integer"}, "confirmed": {"type": "boolean"}})
_SCHEMAS: Mapping[str, Json] = {
    "review.j2": strict_object({"findings": {"type": "array", "items": _FINDING}}),
    "second_look.j2": strict_object({"verdicts": {"type": "array", "items": _VERDICT}}),
}


class Edit(NamedTuple):
    """The characters ``[start, end)`` of a section's text, and what takes their place."""

    section: int
    start: int
    end: int
    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Remark:
    """What a reader reports of a section, from the character ``at`` of its text on. ``obstacle`` says why its edits
    cannot be made, "" where they can."""

    kind: str
    section: int
    at: int
    problem: str
    edits: tuple[Edit, ...] = ()
    obstacle: str = ""

    @property
    def mends(self) -> bool:
        """Whether there are edits, and nothing in their way."""
        return bool(self.edits) and not self.obstacle


async def read_through(context: RunContext, draft_file: DraftFile, judge: Judge | None = None) -> str:
    """Have a draft read and mended, and keep what was found. ``judge`` judges its code. Returns what came of it, in
    words.

    Nothing is asked where the draft is as the last read-through left it. Raises what ``BudgetedClient.buy`` raises, and
    ``InputError`` for an unfinished draft and for one that does not fit the model's context window."""
    chapter, workspace = draft_file.chapter, context.workspace
    if draft_file.unfinished:
        raise InputError(
            f"section {draft_file.unfinished[0]} is not finished, and only whole chapters are read through",
            remedy=f"run `expand chapter {chapter.id}` first",
            place=Place(path=draft_file.path),
        )
    texts = texts_of(draft_file)
    record = read_record(workspace, draft_file.path)
    if record.texts == hashes(texts):
        return "read through before, and nothing has changed since"
    keep_record(workspace, draft_file.path, replace(record, before=hashes(texts)))
    context.usage.tell(chapter.id, WHOLE, "the draft is read through")
    entries = await _ask(context, chapter, "review.j2", review_context(chapter, texts))
    if isinstance(entries, str):
        return entries
    found = [remark for entry in entries[:MOST_FINDINGS] if (remark := _remark(entry, texts)) is not None]
    missing = min(len(entries), MOST_FINDINGS) - len(found)
    found = [remark for remark in found if not_ignored([_finding(remark, texts, ())], texts, chapter.ignored)]
    found = await _makeable(draft_file, texts, found, judge)
    changes = [change for number, remark in enumerate(found, 1) for change in _changes(number, remark, texts)]
    look = review_context(chapter, {}, changes=tuple(changes))
    verdicts = await _ask(context, chapter, "second_look.j2", look) if found else []
    verdicts = [] if isinstance(verdicts, str) else verdicts
    confirmed = [one.get("finding") for one in verdicts if one.get("confirmed") is True]
    kept = [remark for number, remark in enumerate(found, 1) if number in confirmed]
    if len(kept) < len(found):  # the checks took an edit together with one that was rejected
        kept = await _makeable(draft_file, texts, kept, judge)
    edits = [edit for remark in kept if remark.mends for edit in remark.edits]
    new = edited(texts, edits)
    findings = [_finding(remark, new, edits) for remark in kept]
    findings += [_finding(r, new, edits, rejected=True) for n, r in enumerate(found, 1) if n not in confirmed]
    findings.sort(key=lambda one: (one.section, one.line))
    # Before the draft: a run that is killed between the two finds its answers, and comes to the same.
    done = ReadRecord(before=hashes(texts), texts=hashes(new), findings=tuple(findings))
    keep_record(workspace, draft_file.path, done)
    for number in {edit.section for edit in edits}:
        draft_file.put_on(number, new[number])
    draft_file.write()
    mended = sum(remark.mends for remark in kept)
    said = f"read through: {len(found)} finding{'s' if len(found) != 1 else ''}, {mended} mended"
    said += f", {len(found) - len(kept)} not confirmed by a second look" if len(kept) < len(found) else ""
    return said + (f"; {missing} left out that quote nothing in the draft" if missing else "")


def read_order(
    chapter: Chapter, setup: ModelSetup, run_id: str, template: str, values: ReviewContext, tried: Tried = FIRST
) -> Order:
    """The order for one of the two requests to a model; each answer that broke off doubles the output cap. Raises
    ``InputError`` where it does not fit its context window."""
    prompts, system = chapter.templates_for(setup)
    message = prompts.message(template, values)
    words = ("review", template, chapter.id, setup.profile.name, system.content, message.content)
    return Orders(setup, chapter.options, run_id).of_chapter(
        (system, message),
        chapter.id,
        "review",
        output_tokens=OUTPUT_TOKENS[template] * 2**tried.attempts,
        question=(*words, *([tried.attempts] if tried.attempts else ())),
        edition=tried.attempts,
        parameters=setup.profile.json_format("answer", _SCHEMAS[template]),
    )


def texts_of(draft_file: DraftFile) -> dict[int, str]:
    """The sections that are read: those of the outline."""
    return {section.number: draft_file.texts[section.number] for section in draft_file.chapter.outline.sections}


def review_context(
    chapter: Chapter, texts: Mapping[int, str], changes: tuple[ChangeContext, ...] = ()
) -> ReviewContext:
    """What the templates may use; ``texts`` are the sections that they show."""
    return ReviewContext(
        language_name=LANGUAGE_NAMES.get(chapter.language, chapter.language),
        kinds={kind: KINDS[kind].says for kind in READ_KINDS},
        most=MOST_FINDINGS,
        sections=tuple(
            SectionContext(number=n, title=chapter.skeletons[n].title, topics=(), share=0, material=text.strip())
            for n, text in texts.items()
        ),
        references=chapter.section_references if texts else "",
        changes=changes,
    )


def edited(texts: Mapping[int, str], edits: Iterable[Edit]) -> dict[int, str]:
    """The sections' texts with edits that do not overlap."""
    new = dict(texts)
    for section, start, end, text in sorted(edits, reverse=True):
        new[section] = new[section][:start] + text + new[section][end:]
    return new


async def _ask(context: RunContext, chapter: Chapter, template: str, values: ReviewContext) -> _Entries | str:
    """The entries of the list that the model answers with, or why there are none; asked twice if it breaks off."""
    (setup, *_) = context.models_for("review")

    def read(answer: Answer) -> tuple[_Entries | str | None, tuple[str, ...]]:
        if answer.usable and (problems := unreadable(answer)):
            return None, problems
        found = parsed(answer.text) if answer.usable else None
        return "the reader's answer is no list of findings, so nothing was changed" if found is None else found, ()

    def order(tried: Tried) -> Order:
        return read_order(chapter, setup, context.run_id, template, values, tried)

    made: Made[_Entries | str] = await ask(context, order, read, MOST_REQUESTS)
    if made.stopped_by is not None:
        raise made.stopped_by
    if made.value is None:
        return "not read through: the reader's list of findings breaks off, also with a higher output cap"
    return made.value


def parsed(answer: str) -> _Entries | None:
    """The objects of the list in an answer, None where there is none."""
    with suppress(ValueError):
        found = json_in(answer)
        lists = [one for one in (found.values() if isinstance(found, dict) else [found]) if isinstance(one, list)]
        return [one for one in lists[0] if isinstance(one, dict)] if lists else None
    return None


def _remark(entry: Mapping[str, Any], texts: Mapping[int, str]) -> Remark | None:
    """What an entry of a reader's list says; None where it quotes nothing that stands in the draft."""
    problem = excerpt(_string(entry.get("problem")), MOST_SAID)
    given = [one for one in entry["edits"] if isinstance(one, dict)] if isinstance(entry.get("edits"), list) else []
    places = [place for one in (entry, *given) for place in _places(texts, one)]
    if not problem or not places:
        return None
    kind = re.sub(r"[\s_]+", "-", _string(entry.get("kind")).strip().lower())
    edits = [_edit(one, texts) for one in given]
    return Remark(
        kind=kind if kind in READ_KINDS else READ_KINDS[-1],
        section=places[0].section,
        at=places[0].start,
        problem=problem,
        edits=tuple(one for one in edits if isinstance(one, Edit)),
        obstacle=next((one for one in edits if isinstance(one, str)), ""),
    )


def _edit(entry: Mapping[str, Any], texts: Mapping[int, str]) -> Edit | str:
    """An edit as the reader states it, or why it cannot be made."""
    places = _places(texts, entry)
    if len(places) != 1 or not isinstance(entry.get("text"), str):
        return f"the lines to be replaced stand there {len(places)} times" if len(places) > 1 else "it names no lines"
    section, start, end, former = places[0]
    text = texts[section]
    new = _LINE_END.sub(newline_of(text), _string(entry["text"]).strip("\r\n"))
    whole = text[:start].endswith(("\n", "\r")) and text[end : end + 1] in ("", "\r", "\n")
    if not new.strip() and whole and (below := _LINE_AND_BLANK.match(text, end)):
        return Edit(section, start, below.end(), "")  # lines that go take the blank one below them along
    return Edit(section, start, end, new) if new != former else "its edit changes nothing"


def _places(texts: Mapping[int, str], entry: Mapping[str, Any]) -> list[Edit]:
    """Where an entry's quote stands: in the section that it names, else in any."""
    found = []
    for number, text in texts.items():
        wanted = _LINE_END.sub(newline_of(text), _string(entry.get("quote")).strip("\r\n"))
        at = text.find(wanted) if wanted.strip() else -1
        while at >= 0:
            found.append(Edit(number, at, at + len(wanted), wanted))
            at = text.find(wanted, at + 1)
    return [place for place in found if place.section == entry.get("section")] or found


def _string(value: object) -> str:
    return without_forbidden(value) if isinstance(value, str) else ""


async def _makeable(
    draft_file: DraftFile, texts: Mapping[int, str], remarks: Sequence[Remark], judge: Judge | None
) -> list[Remark]:
    """The remarks, each with what stands in the way of its edits beside those of the remarks before it."""
    made: list[Edit] = []
    weight = await _weight(draft_file, texts, judge)
    found = []
    for remark in remarks:
        obstacle = remark.obstacle
        touched = {edit.section for edit in remark.edits} or {remark.section}
        if any(draft_file.edited(number) for number in touched):
            obstacle = BY_HAND
        elif remark.mends:
            edits = sorted([*made, *remark.edits])
            tried = edited(texts, edits)
            if any(one.section == other.section and other.start < one.end for one, other in pairwise(edits)):
                obstacle = "another edit changes these lines"
            elif not all(_keeps(draft_file.chapter, number, texts[number], tried[number]) for number in touched):
                obstacle = "its edit would change a heading or the author's own text"
            elif any(_hides(edit, texts) for edit in remark.edits):
                obstacle = "its edit would hide what stands below it"
            elif _rank(after := await _weight(draft_file, tried, judge)) > _rank(weight):
                obstacle = f"with its edit the checks find more: {', '.join(sorted({k for _, k in after - weight}))}"
            else:
                made, weight = edits, after
        found.append(replace(remark, obstacle=obstacle))
    return found


def _keeps(chapter: Chapter, number: int, before: str, after: str) -> bool:
    """Whether the headings of a section and its topics, and the author's blocks, stand as they did."""
    was, now, *own = (f"\n{_LINE_END.sub(chr(10), text)}\n" for text in (before, after, *chapter.authors))
    level = chapter.skeletons[number].body_level
    headings = [
        [(block.level, block.title) for block in blocks(text) if block.kind == "heading" and block.level <= level]
        for text in (before, after)
    ]
    return headings[0] == headings[1] and all(now.count(text) >= was.count(text) for text in own if text.strip())


def _hides(edit: Edit, texts: Mapping[int, str]) -> bool:
    """Whether an edit would hide what stands below it: it leaves open another block than the lines that it takes."""
    former, new = texts[edit.section][edit.start : edit.end], edit.text
    return close(former)[len(former) :] != close(new)[len(new) :] or bool(hidden_line(new))


async def _weight(draft_file: DraftFile, texts: Mapping[int, str], judge: Judge | None) -> Weight:
    """What the checks find in a chapter with these texts, and the code blocks that toolchains refuse."""
    await asyncio.sleep(0)  # the checks take a third of a second, and other chapters are being written
    chapter = draft_file.chapter
    found = [one for section in chapter.outline.sections for one in chapter.check(section, texts[section.number])]
    found += draft_file.chapter_findings(whole=True, texts=texts)
    weight = Counter((one.severity, one.kind) for one in found)
    if judge is not None:
        verdicts = await asyncio.to_thread(judge, texts)
        weight["warning", "failed-code"] = sum(verdicts.counts(number).failed for number in texts)
    return weight


def _rank(weight: Weight) -> list[int]:
    """How many blocking findings there are, and how many warnings."""
    return [sum(n for (severity, _), n in weight.items() if severity == one) for one in ("blocking", "warning")]


def _changes(number: int, remark: Remark, texts: Mapping[int, str]) -> Iterator[ChangeContext]:
    """What the second look is shown of a remark: its edits, or what it quotes, in whole lines and some around."""
    for section, start, end, new in remark.edits if remark.mends else (Edit(remark.section, remark.at, remark.at, ""),):
        text = texts[section]
        first = len("".join(rows(text[:start] + "|")[: -1 - LINES_AROUND]))
        last = end + len("".join(rows("|" + text[end:])[: 1 + LINES_AROUND])) - 1
        yield ChangeContext(
            finding=number,
            kind=remark.kind,
            section=section,
            problem=remark.problem,
            before=text[first:last].strip("\r\n"),
            after=(text[first:start] + new + text[end:last]).strip("\r\n") if remark.mends else None,
            obstacle=remark.obstacle,
        )


def _finding(remark: Remark, texts: Mapping[int, str], edits: Sequence[Edit], *, rejected: bool = False) -> Finding:
    """The finding for a remark, at its line in the texts with the edits that were made."""
    before = (edit for edit in edits if edit.section == remark.section and edit.end <= remark.at)
    at = remark.at + sum(len(edit.text) - (edit.end - edit.start) for edit in before)
    line = len(rows(texts[remark.section][:at] + "|"))
    severity: Severity = "note" if rejected or remark.mends or remark.obstacle == BY_HAND else "warning"
    message, remedy = remark.problem, None
    if rejected:
        message += " (a second look does not confirm it)"
    elif remark.mends:
        message, remedy = f"mended: {message}", "nothing is to be done; read the new lines"
    elif remark.obstacle:
        message += f" (not mended: {remark.obstacle})"
    return finding(remark.kind, remark.section, line, message, severity=severity, remedy=remedy)
