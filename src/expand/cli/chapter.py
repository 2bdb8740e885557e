"""``expand chapter``: chapters into drafts."""

from typing import Annotated, NamedTuple

import typer

from expand.cli import batch_output, options
from expand.cli.common import require_choice, workspace_of
from expand.cli.run_command import run
from expand.cli.run_output import show_dry_run
from expand.drafting.dry_run import dry_run as plan_run
from expand.drafting.run_options import RunOptions
from expand.errors import InputError
from expand.workspace import Workspace


class Running(NamedTuple):
    """The options of a run that are named as those of ``RunOptions``."""

    plan: options.Plan = "full"
    sections: Annotated[
        list[int] | None, typer.Option("--section", metavar="N", help="Only this section; repeatable.")
    ] = None
    language: options.Language = None
    concurrency: Annotated[int | None, typer.Option("--concurrency", min=1, help="Requests at once.")] = None
    on_unknown: Annotated[
        str | None, typer.Option("--on-unknown", help="retry, or hold: leave unknown outcomes alone.")
    ] = None
    fresh: Annotated[bool, typer.Option("--fresh", help="Buy anew; with --section, edited text is replaced too.")] = (
        False
    )
    read: Annotated[
        bool | None,
        typer.Option("--read/--no-read", help="Have the draft read through, and what is found mended, or not."),
    ] = None


def chapter(
    context: typer.Context,
    chapters: Annotated[
        list[str] | None,
        typer.Argument(metavar="ID...", help="Chapters to expand.", autocompletion=options.complete_chapter),
    ] = None,
    all_chapters: Annotated[bool, typer.Option("--all", help="Every chapter that has an outline.")] = False,
    *,
    running: Running,
    buying: options.Buying,
    no_brief: Annotated[
        bool, typer.Option("--no-brief", help="Neither make nor use what the chapter's sections share.")
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
    ask: Annotated[
        bool, typer.Option("--ask", help="Decide on the brief and on each section before the next.")
    ] = False,
    as_json: options.Json = False,
) -> None:
    """Expand chapters into drafts; reuse every section that is current."""
    require_choice("--plan", running.plan, ("full", "lean"))
    if running.on_unknown is not None:
        require_choice("--on-unknown", running.on_unknown, ("retry", "hold"))
    opened = workspace_of(context)
    every = all_chapters or (batch not in (None, "submit") and not chapters)
    decide = None
    if ask:
        from expand.cli.ask import terminal  # few runs ask a person

        decide = terminal(batch=batch is not None)
    run_options = RunOptions.of(
        opened,
        _chapters(opened, chapters or [], all_chapters=every),
        brief=not no_brief,
        decide=decide,
        **buying._asdict(),
        **running._replace(sections=running.sections or None)._asdict(),
    )
    if running.read and batch is not None:
        raise InputError(
            "a batch reads no draft through",
            remedy="leave out --read, and give `expand review ID --read` once the chapters are drafted",
        )
    if batch is not None:
        code = batch_output.run_batch(batch, opened, run_options, dry_run=dry_run, as_json=as_json)
    elif dry_run:
        code = show_dry_run(plan_run(opened, run_options.settings(opened), run_options), as_json=as_json)
    else:
        code = run(opened, run_options, as_json=as_json)
    raise typer.Exit(code)


def _chapters(workspace: Workspace, given: list[str], *, all_chapters: bool) -> tuple[str, ...]:
    if all_chapters and workspace.chapter_ids():
        return workspace.chapter_ids()
    if all_chapters:
        raise InputError("no chapter has an outline", remedy="write outlines/<chapter>.yaml, or `expand init`")
    if not given:
        known = ", ".join(workspace.chapter_ids()) or "none yet"
        raise InputError("no chapter named", remedy=f"name some of {known}, or give --all")
    return tuple(dict.fromkeys(given))
