"""``expand review``, ``expand revise`` and ``expand accept``: from a draft to the document."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from expand.cli.common import (
    BaseUrlOption,
    ModelOption,
    WorkspaceOption,
    complete_chapter,
    print_json,
    print_text,
    settings_of,
    warn,
    workspace_of,
)

if TYPE_CHECKING:
    from expand.drafting.result import ChapterResult
    from expand.workspace import Workspace

ChaptersArgument = Annotated[
    list[str], typer.Argument(metavar="ID...", help="Chapters.", autocompletion=complete_chapter)
]


def review(
    context: typer.Context,
    chapters: ChaptersArgument,
    form: Annotated[
        str, typer.Option("--format", metavar="FORMAT", help="table, json or markdown.")
    ] = "table",
    as_json: Annotated[bool, typer.Option("--json", help="The same as --format json.")] = False,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="FILE", help="Write to a file.")
    ] = None,
    workspace: WorkspaceOption = None,
) -> None:
    """Check drafts against their outlines; exit 5 when one misses its contract."""
    from expand.drafting.review import review as review_draft
    from expand.errors import InputError  # start-up time

    form = "json" if as_json else form
    if form not in ("table", "json", "markdown"):
        raise InputError(f"--format is {form!r}", remedy="give table, json or markdown")
    place = workspace_of(context, workspace)
    settings, book = settings_of(place), place.book()
    results = [review_draft(place, settings, book, chapter).chapter for chapter in chapters]
    if form == "json":
        from expand.drafting.result import chapter_json  # start-up time

        print_json({"chapters": [chapter_json(result) for result in results]}, output)
    else:
        from expand.cli.summary import review_markdown, review_table  # start-up time

        render = review_markdown if form == "markdown" else review_table
        print_text("\n".join(render(result) for result in results), output)
    raise typer.Exit(0 if all(result.kept for result in results) else 5)


def revise(
    context: typer.Context,
    chapter: Annotated[
        str, typer.Argument(metavar="ID", help="The chapter.", autocompletion=complete_chapter)
    ],
    section: Annotated[int, typer.Option("--section", metavar="N", help="The section.")],
    note: Annotated[str, typer.Option("--note", metavar="TEXT", help="What is to change.")],
    model: ModelOption = None,
    base_url: BaseUrlOption = None,
    budget: Annotated[
        int | None,
        typer.Option("--budget", metavar="TOKENS", min=0, help="The most that this run may spend."),
    ] = None,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Also if the section was edited by hand.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Redraw one section with an instruction."""
    from expand.cli.chapter import plan_of  # start-up time
    from expand.cli.run import run, show
    from expand.drafting.expansion import Commission
    from expand.errors import InputError

    place = workspace_of(context, workspace)
    if not note.strip():
        raise InputError("--note is empty", remedy="say what is to change")
    draft = place.draft(chapter)
    if draft is None:
        place.outline(chapter)
        raise InputError(
            f"chapter {chapter} has no draft", remedy=f"make one with `expand chapter {chapter}`"
        )
    if draft.edited(section) and not fresh:
        raise InputError(
            f"section {section} of drafts/{chapter}.md was edited by hand",
            remedy="add --fresh to have it replaced all the same",
        )
    result = run(
        place,
        settings_of(place, model=model, base_url=base_url),
        Commission(
            chapters=(chapter,),
            plan=plan_of(draft.plan or "full"),
            language=draft.language or place.book().language,
            sections=frozenset({section}),
            fresh=True,
            instruction=note.strip(),
        ),
        budget=budget,
    )
    show(result, as_json=as_json)
    raise typer.Exit(result.exit_code)


def accept(
    context: typer.Context,
    chapters: ChaptersArgument,
    undo: Annotated[bool, typer.Option("--undo", help="Bring the former source back.")] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Also with blocking findings or a changed source.")
    ] = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Put a reviewed draft in the place of its source, in one step; --undo takes it back."""
    place = workspace_of(context, workspace)
    if undo:
        from expand.drafting.acceptance import Acceptances  # start-up time

        for chapter in chapters:
            typer.echo(f"{Acceptances(place).undo(chapter)}: the former text is back")
        return
    refused = [chapter for chapter in chapters if not _accept(place, chapter, force=force)]
    raise typer.Exit(5 if refused else 0)


def _accept(workspace: Workspace, chapter: str, *, force: bool) -> bool:
    """Accepts one chapter; False when blocking findings stand in the way."""
    from expand.drafting.acceptance import Acceptances, require_unchanged  # start-up time
    from expand.drafting.review import review as review_draft
    from expand.text.draft import document_text
    from expand.workspace import read_text

    reviewed = review_draft(workspace, settings_of(workspace), workspace.book(), chapter)
    outline = workspace.outline(chapter)
    if not force:
        require_unchanged(workspace, outline)
        if reviewed.blocking:
            _warn_blocking(reviewed.chapter, len(reviewed.blocking))
            return False
    text = document_text(read_text(workspace.draft_path(chapter)))
    Acceptances(workspace).accept(chapter, outline.source, text)
    typer.echo(f"{outline.source}: replaced by {reviewed.chapter.draft}")
    return True


def _warn_blocking(chapter: ChapterResult, count: int) -> None:
    found = [*chapter.findings, *(f for s in chapter.sections for f in s.findings)]
    for finding in found:
        if finding.severity == "blocking":
            warn(f"{chapter.draft}: {finding}")
    warn(f"chapter {chapter.id} has {count} blocking findings; mend them, or give --force")
