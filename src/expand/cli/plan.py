"""``expand plan``: the scenarios side by side."""

from __future__ import annotations

from typing import Annotated

import typer

from expand.cli.common import (
    BaseUrlOption,
    ModelOption,
    OutputOption,
    WorkspaceOption,
    complete_chapter,
    workspace_of,
)
from expand.cli.reporting import (
    FormatJsonOption,
    FormatOption,
    ReportLanguageOption,
    format_of,
    print_sheet,
)


def plan(
    context: typer.Context,
    chapters: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[ID...]", help="Only these chapters.", autocompletion=complete_chapter
        ),
    ] = None,
    form: FormatOption = "table",
    as_json: FormatJsonOption = False,
    language: ReportLanguageOption = None,
    model: ModelOption = None,
    base_url: BaseUrlOption = None,
    output: OutputOption = None,
    workspace: WorkspaceOption = None,
) -> None:
    """Show the plans side by side: lines, tokens, cost, hours, completion, and what fits."""
    from expand.errors import InputError  # start-up time
    from expand.library import figures
    from expand.report.plans import plan_sheet
    from expand.report.wording import spoken_for
    from expand.workspace import meant

    wanted = format_of("json" if as_json else form)
    place = workspace_of(context, workspace)
    facts = figures(place, model=model, base_url=base_url)
    known = [chapter.id for chapter in facts.chapters]
    for chapter in chapters or []:
        if chapter not in known:
            near = meant(chapter, known)
            hint = f"did you mean {near}? it has" if near else "it has"
            raise InputError(
                f"the book has no chapter {chapter!r}", remedy=f"{hint} {', '.join(known)}"
            )
    chosen = frozenset(chapters) if chapters else None
    words = spoken_for(facts.book.language, language)
    print_sheet(plan_sheet(facts, words, chosen), wanted, output)
