"""``expand chapter``: chapters into drafts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from expand.cli.common import (
    BaseUrlOption,
    BudgetOption,
    JsonOption,
    LanguageOption,
    ModelOption,
    WorkspaceOption,
    complete_chapter,
    require_choice,
    workspace_of,
)
from expand.cli.verbosity import QuietOption, VerboseOption

if TYPE_CHECKING:
    from expand.workspace import Workspace


def chapter(
    context: typer.Context,
    chapters: Annotated[
        list[str] | None, typer.Argument(metavar="ID...", help="Chapters to expand.", autocompletion=complete_chapter)
    ] = None,
    all_chapters: Annotated[bool, typer.Option("--all", help="Every chapter that has an outline.")] = False,
    plan: Annotated[str, typer.Option("--plan", help="full, or lean: the outline's shape at 450 lines.")] = "full",
    section: Annotated[
        list[int] | None, typer.Option("--section", metavar="N", help="Only this section; repeatable.")
    ] = None,
    language: LanguageOption = None,
    model: ModelOption = None,
    base_url: BaseUrlOption = None,
    concurrency: Annotated[int | None, typer.Option("--concurrency", min=1, help="Requests at once.")] = None,
    budget: BudgetOption = None,
    on_unknown: Annotated[
        str | None, typer.Option("--on-unknown", help="retry, or hold: leave unknown outcomes alone.")
    ] = None,
    unpriced: Annotated[
        bool, typer.Option("--unpriced", help="Under a limit in money, let a model without a price pass.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be sent and reserved; send nothing.")
    ] = False,
    batch: Annotated[
        str | None,
        typer.Option(
            "--batch",
            metavar="submit|status|collect|cancel",
            help="Through the provider's Batch API, at its price and within a day.",
        ),
    ] = None,
    queue: Annotated[
        bool, typer.Option("--queue", help="Put the sections on the queue for `expand worker`; needs PostgreSQL.")
    ] = False,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Buy anew; with --section, edited text is replaced too.")
    ] = False,
    section_context: Annotated[
        str,
        typer.Option(
            "--context",
            metavar="outline|text",
            help="What a section knows of its neighbours: their outlines, or also what those "
            "before it say; then sections are drafted in order.",
        ),
    ] = "outline",
    cascade: Annotated[
        bool, typer.Option("--cascade", help="With --context text: redo sections whose predecessors changed.")
    ] = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    verbose: VerboseOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Expand chapters into drafts; what is already bought and still current is reused."""
    from expand.cli.run_command import (
        run,
        show,  # start-up time
    )
    from expand.drafting.dry_run import dry_run as planned_run
    from expand.drafting.run_options import RunOptions

    require_choice("--plan", plan, "full", "lean")
    require_choice("--context", section_context, "outline", "text")
    require_choice("--on-unknown", on_unknown, "retry", "hold")
    place = workspace_of(context, workspace)
    named = _chapters(
        place, chapters or [], all_chapters=all_chapters or (batch not in (None, "submit") and not chapters)
    )
    options = RunOptions.of(
        place,
        named,
        plan=plan,
        language=language,
        sections=section or None,
        fresh=fresh,
        context=section_context,
        cascade=cascade,
        budget=budget,
        unpriced=unpriced,
        model=model,
        base_url=base_url,
        concurrency=concurrency,
        on_unknown=on_unknown,
    )
    settings = options.settings(place)
    if queue and not dry_run:
        from expand.cli.queue_output import put

        raise typer.Exit(put(place, settings, options, batch=batch, as_json=as_json))
    if batch is not None:
        from expand.cli.batch_output import perform

        raise typer.Exit(perform(batch, place, settings, options, dry_run=dry_run, as_json=as_json))
    if dry_run:
        from expand.cli.dry_run_output import show_planned

        show_planned(planned_run(place, settings, options), as_json=as_json)
        return
    result = run(place, settings, options)
    show(result, place, as_json=as_json)
    raise typer.Exit(result.exit_code)


def _chapters(workspace: Workspace, given: list[str], *, all_chapters: bool) -> tuple[str, ...]:
    from expand.errors import InputError  # start-up time

    if all_chapters and workspace.chapter_ids():
        return workspace.chapter_ids()
    if all_chapters:
        raise InputError("no chapter has an outline", remedy="write outlines/<chapter>.yaml, or `expand init`")
    if not given:
        known = ", ".join(workspace.chapter_ids()) or "none yet"
        raise InputError("no chapter named", remedy=f"name some of {known}, or give --all")
    return tuple(dict.fromkeys(given))
