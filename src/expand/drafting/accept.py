"""Drafts held against their outlines, put in the place of their documents, and committed; nothing is sent."""

import difflib
import os
import posixpath
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, replace

from expand.budget import usd_from_pico
from expand.checks import not_ignored
from expand.checks.links import anchors, broken_incoming
from expand.document import draft as document
from expand.document.follow import followed
from expand.document.layout import assembled, untouched
from expand.document.page import Page
from expand.document.site import documents_folder, files_of_link, site_of
from expand.drafting.acceptance_record import Acceptance, Acceptances
from expand.drafting.brief import read_brief
from expand.drafting.draft_file import DraftFile, DraftStore
from expand.drafting.events import SectionStatus
from expand.drafting.memory import memorable, remember
from expand.drafting.model_setup import model_setup_for
from expand.drafting.results import ChapterResult, fields_of, finding_json
from expand.drafting.run_options import RunOptions
from expand.errors import InputError, Place
from expand.ledger import Ledger
from expand.markdown import names
from expand.markdown.blocks import rows
from expand.markdown.languages import detected
from expand.outline import Book, Outline, Plan
from expand.schema import Json
from expand.settings import Settings
from expand.workspace import Workspace, decoded, read_bytes


def review(
    draft_file: DraftFile, workspace: Workspace, settings: Settings, *, code: bool = False, known_code: bool = False
) -> ChapterResult:
    """A chapter's draft held to its outline, in the plan that it was drafted in, as a run would report it. With
    ``code``, its code blocks are judged by their toolchains, with ``known_code`` only as far as they were already."""
    chapter = draft_file.chapter
    outline = chapter.outline
    present = decoded(workspace.source_bytes(outline), workspace.source_path(outline.source))
    gone = anchors([present]) - anchors([document.document_text(draft_file.text)])
    page = workspace.source_path(outline.source)
    site = site_of(page, workspace.root)
    docs = documents_folder(site)

    def leads(own: str, target: str) -> bool:
        return page in files_of_link(site, workspace.inside(own), target, docs=docs)

    incoming = broken_incoming(workspace.pages(), outline.source, gone, leads) if gone else ()
    verdicts = None
    if code or known_code:
        verdicts = chapter.code_check(workspace, settings).judge(draft_file.texts, known_only=not code)
    states: dict[bool, SectionStatus] = {True: "edited", False: "reused"}
    sections = [
        draft_file.section_result(one, states[draft_file.edited(one.number)], verdicts) for one in outline.sections
    ]
    others = _other_chapters(workspace, chapter.book, chapter.id, chapter.language)
    result = draft_file.chapter_result(sections, whole=True, others=others, code=verdicts)
    return replace(result, findings=(*result.findings, *not_ignored(incoming, {}, chapter.ignored)))


def _other_chapters(workspace: Workspace, book: Book, chapter_id: str, language: str) -> dict[str, str]:
    """The other chapters as they stand in a language, by file: their drafts, else their sources."""
    found = {}
    for other in workspace.chapter_ids():
        with suppress(InputError, OSError):
            drafted = workspace.draft_path(book.draft_name(other, language))
            source = workspace.source_path(workspace.outline(other, language).source)
            path = drafted if drafted.exists() else source
            if other != chapter_id and path.exists():
                found[workspace.relative(path)] = decoded(read_bytes(path), path)
    return found


def open_draft(
    workspace: Workspace, settings: Settings, book: Book, chapter_id: str, language: str | None = None
) -> DraftFile:
    """A chapter's draft in the plan that it was drafted in: without a ``language`` the book's own, or else the one
    that there is. Raises ``InputError`` when there is none."""
    setup = model_setup_for(workspace, settings, ledger=None)
    options = drafted_with(workspace, book, chapter_id, language)
    return DraftStore(workspace, book, options=options, setup=setup).look(chapter_id)


def drafted_with(workspace: Workspace, book: Book, chapter_id: str, language: str | None = None) -> RunOptions:
    """The plan and language of a chapter's draft, as ``open_draft`` takes it. Raises ``InputError``."""
    language = workspace.draft_language(book, chapter_id, language)
    name = book.draft_name(chapter_id, language)
    draft = workspace.draft(name)
    if draft is None:
        workspace.outline(chapter_id)
        place = Place(path=workspace.relative(workspace.draft_path(name)))
        wanted = "" if name == chapter_id else f" --language {language}"
        raise InputError(
            "there is no draft", remedy=f"make one with `expand chapter {chapter_id}{wanted}`", place=place
        )
    plan = Plan(draft.plan) if draft.plan in tuple(Plan) else Plan.FULL
    return RunOptions(chapters=(chapter_id,), plan=plan, language=language)


@dataclass(frozen=True, kw_only=True, slots=True)
class Accepted:
    """A draft that is in the place of its source now; ``changed`` is False where it was before.

    ``source``, ``draft`` and the ``files`` that accepting wrote are paths relative to the workspace, ``diff`` is what
    changed as a unified diff; ``whole`` is False where only the sections of ``result`` were taken over."""

    chapter: str
    source: str
    draft: str
    changed: bool
    diff: str
    files: tuple[str, ...]
    result: ChapterResult
    whole: bool = True


@dataclass(frozen=True, kw_only=True, slots=True)
class AcceptResult:
    """What accepting some drafts came to: ``accepted`` is empty when any chapter was ``refused``."""

    accepted: tuple[Accepted, ...] = ()
    refused: tuple[ChapterResult, ...] = ()

    def as_json(self, commits: Mapping[str, str] | None = None) -> dict[str, Json]:
        """The object that ``expand accept --json`` prints: the chapters accepted, with their diffs, and those refused,
        with their blocking findings; of both the number of findings above a note by kind. ``commits`` are those that
        were made, "" where there was nothing to commit."""
        accepted: list[Json] = [
            fields_of(one, "chapter source draft changed diff")
            | {"findings_by_kind": {**one.result.kinds}}
            | ({"commit": commits[one.chapter] or None} if commits else {})
            for one in self.accepted
        ]
        refused: list[Json] = [
            {"chapter": one.id, "findings": [*map(finding_json, one.blocking)], "findings_by_kind": {**one.kinds}}
            for one in self.refused
        ]
        return {"accepted": accepted, "refused": refused}


def _require_mapped(workspace: Workspace, book: Book, outline: Outline, language: str) -> None:
    """Refuses to put a draft in the place of a document in another language. A document that is the only one counts as
    one in the book's own language, and in the one that it is in."""
    if language == book.language or language in outline.sources:
        return
    present = workspace.source_bytes(outline).decode("utf-8", "replace")
    if outline.sources or detected(present, language.partition("-")[0]) != language.partition("-")[0]:
        raise InputError(
            f"chapter {outline.id} has no document in {language!r}",
            remedy=f"name one in the outline: source: {{{book.language}: {outline.source}, {language}: PATH}}",
            place=Place(path=workspace.relative(workspace.outline_path(outline.id))),
        )


def accept_drafts(
    workspace: Workspace,
    settings: Settings,
    chapters: Sequence[str],
    *,
    language: str | None = None,
    sections: Sequence[int] = (),
    force: bool = False,
    dry_run: bool = False,
) -> AcceptResult:
    """Puts drafts in the place of their sources. Everything is checked before anything is replaced. ``sections`` takes
    over those sections alone, and ``dry_run`` replaces nothing.

    Refused are drafts with blocking findings. Raises ``InputError`` for a chapter without a draft, for a section that
    it does not have, and for a source that changed since its draft was made. ``force`` passes over the findings and the
    change."""
    book = workspace.book()
    opened = {chapter: open_draft(workspace, settings, book, chapter, language) for chapter in dict.fromkeys(chapters)}
    reviewed = [review(draft_file, workspace, settings) for draft_file in opened.values()]
    outlines = {chapter.id: workspace.outline(chapter.id, chapter.language) for chapter in reviewed}
    for chapter in reviewed:
        _require_mapped(workspace, book, outlines[chapter.id], chapter.language)
    if len({posixpath.normpath(outline.source) for outline in outlines.values()}) < len(outlines):
        raise InputError(
            "two of the chapters have the same source",
            remedy="give each a document of its own in its outline, or accept one of them",
        )
    if sections:
        for outline in outlines.values():
            RunOptions(sections=frozenset(sections)).chosen(outline)
        reviewed = [
            replace(chapter, sections=tuple(s for s in chapter.sections if s.number in sections), findings=())
            for chapter in reviewed
        ]
    if not force:
        for draft_file in opened.values():
            draft_file.require_unchanged()
        if refused := tuple(chapter for chapter in reviewed if chapter.blocking):
            return AcceptResult(refused=refused)
    chosen = frozenset(sections)
    texts = {name: _text_of_sections(workspace, one, chosen) if chosen else one.result for name, one in opened.items()}
    done = (_accepted(workspace, one, texts[one.id], whole=not chosen, dry_run=dry_run) for one in reviewed)
    return AcceptResult(accepted=tuple(done))


def _accepted(workspace: Workspace, result: ChapterResult, text: str, *, whole: bool, dry_run: bool) -> Accepted:
    """A text in the place of its source."""
    outline, language = workspace.outline(result.id, result.language), workspace.book().language
    diff = _diff(workspace.source_bytes(outline), text.encode(), outline.source)
    changed = bool(diff) if dry_run else Acceptances(workspace).accept(result.id, outline.source, text)
    files = [outline.source]
    if not dry_run and result.language == language:
        path = workspace.brief_path(result.id)
        brief = read_brief(path, root=workspace.root) if path.is_file() else None
        if remember(workspace, result.id, memorable(text, outline, brief, language)):
            files.append(workspace.relative(workspace.memory_path(result.id)))
    return Accepted(
        chapter=result.id,
        source=outline.source,
        draft=result.draft,
        changed=changed,
        diff=diff,
        files=tuple(files),
        result=result,
        whole=whole,
    )


def undo(workspace: Workspace, chapter: str, source: str | None = None) -> Acceptance:
    """Take the last acceptance of a chapter, or that of one of its documents, back, and with the last one that stands
    what it left in the book's memory. Raises ``InputError``."""
    restored = Acceptances(workspace).undo(chapter, source)
    if Acceptances(workspace).last(chapter) is None:
        remember(workspace, chapter, {})
    return restored


def _text_of_sections(workspace: Workspace, draft_file: DraftFile, chosen: frozenset[int]) -> str:
    """The source as it stands, with the text of the chosen sections from the draft."""
    chapter, outline = draft_file.chapter, draft_file.chapter.outline
    if chapter.translated:
        raise InputError("a translation is accepted as a whole", remedy="leave out --section")
    present = decoded(workspace.source_bytes(outline), workspace.source_path(outline.source), keep_mark=True)
    if chapter.layout == "keep":
        arrangement = chapter.arranged(Page(present))
        own = {n: untouched(parts, arrangement.newline) for n, parts in arrangement.sections.items()}
        return assembled(arrangement, _completed(draft_file, own, chosen)).text
    former = followed(document.read(present), chapter.named).sections
    if extra := sorted(former.keys() - chapter.arrangement.sections.keys()):
        remedy = f"add its section {extra[0]} to the outline, or accept the whole chapter"
        raise InputError(f"{outline.source} has sections that the outline of chapter {chapter.id} lacks", remedy=remedy)
    own = {n: former.get(n) or untouched(parts, "\n") for n, parts in chapter.arrangement.sections.items()}
    return draft_file.document(_completed(draft_file, own, chosen))


def _completed(draft_file: DraftFile, own: Mapping[int, str], chosen: frozenset[int]) -> dict[int, str]:
    """The source's ``own`` sections, with the draft's in the place of those chosen; these take along the footnotes and
    link references that another section of the draft defines for them."""
    texts = {n: draft_file.texts[n] if n in chosen else text for n, text in own.items()}
    for number in sorted(chosen):
        used = {use.name for use in names.uses(texts[number])}
        wanted = used & names.lacking(list(texts.values()), draft_file.chapter.names)
        texts[number] = names.completed(texts[number], wanted, draft_file.texts.values())
    return texts


def draft_text(workspace: Workspace, name: str) -> str:
    """The document that a draft is, without the tool's own last line."""
    path = workspace.draft_path(name)
    return document.document_text(decoded(read_bytes(path), path, keep_mark=True), workspace.kept_line(name))


def _diff(former: bytes, new: bytes, path: str) -> str:
    """A unified diff of two texts, "" where they are the same."""
    was, now = (rows(text.decode("utf-8", "replace")) for text in (former, new))
    found = difflib.unified_diff(was, now, f"a/{path}", f"b/{path}")
    return "".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in found)


# Accepted chapters as git commits: one a chapter, with figures in its message, and nothing in it but what accepting
# changed, whatever else is staged or changed in the repository.


def require_repository(workspace: Workspace) -> None:
    """Raises ``InputError`` where no commit could be made, before anything is accepted."""
    if shutil.which("git") is None:
        raise InputError("--commit needs git, which is not installed", remedy="install it, or leave --commit out")
    _git(workspace, "rev-parse", "--show-toplevel")
    _git(workspace, "var", "GIT_COMMITTER_IDENT")  # says what is missing where git knows no name


def commit_chapter(workspace: Workspace, accepted: Accepted) -> str:
    """Commits what accepting a chapter changed. Returns the commit's short id, "" where nothing differs from the last.

    Raises ``InputError`` with git's own words; the chapter is accepted all the same."""
    literal = [f":(literal){file}" for file in accepted.files]
    files = [file for file in literal if _git(workspace, "status", "--porcelain", "-uall", "--", file)]
    if not files:
        return ""
    # A file that git does not know has to be added before `commit --only` takes it; nothing else is staged.
    _git(workspace, "add", "--all", "--", *files)
    _git(workspace, "commit", "--quiet", "--only", "--file=-", "--", *files, stdin=_message(workspace, accepted))
    return _git(workspace, "rev-parse", "--short", "HEAD")


def _message(workspace: Workspace, accepted: Accepted) -> str:
    """What was accepted, and how long, how good and how dear it is."""
    result, book = accepted.result, workspace.book()
    title = workspace.outline(result.id, result.language).title.say(result.language, book.language)
    sections = "" if accepted.whole else f", section {', '.join(str(s.number) for s in result.sections)}"
    severities = [finding.severity for finding in result.every_finding]
    findings = ", ".join(f"{severities.count(s)} {s}" for s in ("blocking", "warning", "note"))
    lines = [
        f"Accept chapter {result.id}{sections}: {title}",
        "",
        f"Lines: {result.lines:,} of {result.target_lines:,} (length score {result.length_score})",
        f"Draft: {accepted.draft}, plan {result.plan}, language {result.language}",
        f"Findings: {findings}",
    ]
    if result.code:
        lines.append(f"Code: {result.code.checked - result.code.failed} of {result.code.blocks} blocks verified")
    return "\n".join([*lines, *_spent(workspace, accepted)]) + "\n"


def _spent(workspace: Workspace, accepted: Accepted) -> list[str]:
    """What the ledger says that the sections took; of a whole chapter its brief and its read-throughs, too."""
    ledger = Ledger.read(workspace.ledger_place)
    if ledger is None:
        return []
    with closing(ledger):
        parts = ledger.overview().slices
    result = accepted.result
    numbers = {section.number for section in result.sections} | ({0} if accepted.whole else set())
    own = [p for p in parts if p.chapter == result.id and p.language == result.language and p.section in numbers]
    if not own:
        return []
    models = ", ".join(sorted({part.model for part in own}))
    known = not any(part.unpriced for part in own)
    cost = f"{usd_from_pico(sum(part.cost_pico_usd for part in own)):.4f} USD" if known else "no price known"
    attempts = sum(part.attempts for part in own)
    return [f"Tokens: {sum(part.tokens for part in own):,} in {attempts:,} attempts by {models}; {cost}"]


def _git(workspace: Workspace, *words: str, stdin: str = "") -> str:
    """What git prints, run at the workspace's root."""
    ran = subprocess.run(
        ["git", "-C", str(workspace.root), "-c", "core.quotePath=false", *words],
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        input=stdin,
        env={**os.environ, "LC_ALL": "C"},
        check=False,
    )
    if ran.returncode:
        said = " ".join((ran.stderr or ran.stdout).split())
        raise InputError(
            f"git {words[0]} failed: {said}",
            remedy="mend that and give `accept --commit` again, or leave --commit out; what was accepted stays",
            place=Place(path=workspace.root),
        )
    return ran.stdout.strip()
