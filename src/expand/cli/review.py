"""``expand review``, ``expand revise`` and ``expand accept``: from a draft to the document."""

from typing import Annotated, Any

import typer

from expand.api import read_draft
from expand.checks.finding import KINDS
from expand.cli import options
from expand.cli.options import require_choice
from expand.cli.output import counted, note, print_json, print_text, warn
from expand.cli.run_command import attended, note_author, run
from expand.cli.run_output import located, review_markdown, review_table
from expand.client.client import StoppedError
from expand.drafting import accept as accepting
from expand.drafting.results import chapter_json
from expand.drafting.run_options import RunOptions, settings_of
from expand.errors import AuthorError, BudgetExceededError, InputError
from expand.schema import Json
from expand.workspace import Workspace


def _explain(kind: str | None) -> None:
    if kind is None:
        return
    found = KINDS.get(kind)
    if found is None:
        raise InputError(f"--explain is {kind!r}", remedy=f"give one of {', '.join(KINDS)}")
    silence = f"list {kind} under ignore: in book.yaml, in the outline or in its section;"
    silence += f" or put <!-- expand: ignore {kind} --> in front of the block"
    rows = {"Says": found.says, "Rule": found.rule, "Severity": found.severity_text, "Remedy": found.remedy}
    typer.echo("\n".join([kind, *(f"{name}: {text}" for name, text in {**rows, "Silence": silence}.items())]))
    raise typer.Exit


Explain = Annotated[
    str | None,
    typer.Option(
        "--explain",
        metavar="KIND",
        help="Show a kind of finding: rule, thresholds, how to silence it.",
        callback=_explain,
        is_eager=True,
    ),
]


def review(
    place: Workspace,
    chapters: options.Chapters,
    form: Annotated[str, typer.Option("--format", metavar="FORMAT", help="table, json or markdown.")] = "table",
    as_json: options.FormatJson = False,
    output: options.Output = None,
    code: Annotated[bool, typer.Option("--code", help="Have toolchains judge the code blocks.")] = False,
    language: options.DraftLanguage = None,
    read: Annotated[
        bool, typer.Option("--read", help="Have the review model read the whole draft, and mend what it finds.")
    ] = False,
    *,
    buying: options.Buying,
    explain: Explain = None,
) -> None:
    """Check drafts against their outlines; exit 5 if one falls short."""
    form = require_choice("--format", "json" if as_json else form, ("table", "json", "markdown"))
    settings, book = settings_of(place), place.book()
    code = code or settings.code.check
    stopped = _read(place, chapters, code=code, language=language, **buying._asdict()) if read else 0
    drafts = (accepting.open_draft(place, settings, book, chapter, language) for chapter in chapters)
    results = [accepting.review(draft_file, place, settings, code=code) for draft_file in drafts]
    if form == "json":
        print_json({"chapters": [chapter_json(result) for result in results]}, output)
    else:
        render = review_markdown if form == "markdown" else review_table
        print_text("\n".join(render(result, place) for result in results), output)
    raise typer.Exit(stopped or (0 if all(result.kept for result in results) else 5))


def _read(place: Workspace, chapters: list[str], *, code: bool, **changes: Any) -> int:
    """Has the drafts read through, one after the other, until something ends it; the exit code of that, else 0."""
    note_author(RunOptions(**changes).settings(place), "review")
    for chapter in chapters:
        try:
            said = attended(read_draft, place, chapter, code=code, **changes)
        except (BudgetExceededError, AuthorError, StoppedError) as error:
            warn(f"{chapter}: not read through: {error}")
            return error.exit_code
        note(f"{chapter}: {said}")
    return 0


def revise(
    place: Workspace,
    chapter: options.Chapter,
    section: Annotated[int, typer.Option("--section", metavar="N", help="The section.")],
    note: Annotated[str, typer.Option("--note", metavar="TEXT", help="What is to change.")] = "",
    language: options.DraftLanguage = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Also if the section was edited by hand.")] = False,
    restore: Annotated[bool, typer.Option("--restore", help="Bring back the edit that was replaced last.")] = False,
    *,
    buying: options.Buying,
    as_json: options.Json = False,
) -> None:
    """Redraw one section with an instruction."""
    if not (restore or note.strip()):
        raise InputError("--note is empty", remedy="say what is to change, or give --restore")
    draft_file = accepting.open_draft(place, settings_of(place), place.book(), chapter, language)
    if restore:
        RunOptions(sections=frozenset({section})).chosen(draft_file.chapter.outline)
        draft_file.restore(section)
        if as_json:
            print_json({"draft": draft_file.path, "section": section, "restored": True})
        else:
            typer.echo(f"{draft_file.path}: section {section} is again what was replaced last")
        return
    if draft_file.edited(section) and not fresh:
        raise InputError(
            f"section {section} of {draft_file.path} was edited by hand",
            remedy="add --fresh to have it replaced all the same",
        )
    run_options = RunOptions.of(
        place,
        chapter,
        plan=draft_file.chapter.plan,
        language=draft_file.chapter.language,
        sections=[section],
        fresh=True,
        instruction=note.strip(),
        **buying._asdict(),
    )
    raise typer.Exit(run(place, run_options, as_json=as_json))


def accept(
    place: Workspace,
    chapters: options.Chapters,
    undo: Annotated[bool, typer.Option("--undo", help="Bring the former source back.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Also with blocking findings or a changed source.")] = False,
    diff: Annotated[bool, typer.Option("--diff", help="Print what would change; change nothing.")] = False,
    sections: Annotated[list[int] | None, typer.Option("--section", help="Only this section; repeatable.")] = None,
    commit: Annotated[bool, typer.Option("--commit", help="Commit each chapter to git: its files only.")] = False,
    language: options.DraftLanguage = None,
    as_json: options.Json = False,
) -> None:
    """Replace a chapter's source by its reviewed draft, or --undo that."""
    if undo and (sections or diff):
        raise InputError("--undo takes back the last acceptance as a whole", remedy="leave out --section and --diff")
    if commit and (undo or diff):
        raise InputError("--commit has no effect with --undo or --diff", remedy="leave it out")
    if commit:
        accepting.require_repository(place)
    if undo:
        _undo(place, chapters, language, as_json=as_json)
        return
    settings, chosen = settings_of(place), sections or ()
    handover = accepting.accept_drafts(
        place, settings, chapters, language=language, sections=chosen, force=force or diff, dry_run=diff
    )
    commits = {one.chapter: accepting.commit_chapter(place, one) for one in handover.accepted if commit}
    if as_json:
        print_json(handover.as_json(commits))
    elif diff:
        typer.echo("".join(accepted.diff for accepted in handover.accepted), nl=False)
    else:
        for accepted in handover.accepted:
            done = f"replaced by {accepted.draft}" if accepted.changed else "accepted before"
            made = commits.get(accepted.chapter)
            told = "" if made is None else f", commit {made}" if made else ", nothing to commit"
            typer.echo(f"{accepted.source}: {done}{told}")
    _show_findings(place, handover)
    if handover.refused and len(set(chapters)) > 1:
        warn("none of the chapters was accepted")
    raise typer.Exit(5 if handover.refused else 0)


def _show_findings(place: Workspace, handover: accepting.AcceptResult) -> None:
    """Says what refused drafts have to mend, and of all how many findings they have."""
    for refused in handover.refused:
        for line in map(located(place, refused.draft), refused.blocking):
            warn(line)
        count = counted(len(refused.blocking), "blocking finding")
        warn(f"chapter {refused.id} has {count}; mend them, or give --force")
    for result in (*(accepted.result for accepted in handover.accepted), *handover.refused):
        if result.kinds:
            language = "" if result.language == place.book().language else f" --language {result.language}"
            kinds = ", ".join(f"{count:,} {kind}" for kind, count in result.kinds.items())
            found = counted(sum(result.kinds.values()), "finding")
            note(f"{result.draft} has {found} ({kinds}); `expand review {result.id}{language}` lists them")


def _undo(place: Workspace, chapters: list[str], language: str | None, *, as_json: bool) -> None:
    undone: list[Json] = []
    for chapter in chapters:
        source = place.outline(chapter, language).source if language else None
        restored = accepting.undo(place, chapter, source)
        undone.append({"chapter": chapter, "source": restored.source, "existed": bool(restored.former)})
        if not as_json:
            done = "the former text is back" if restored.former else "taken away: there was none"
            typer.echo(f"{restored.source}: {done}")
    if as_json:
        print_json({"undone": undone})
