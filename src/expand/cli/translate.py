"""``expand translate``: a finished chapter in another of the book's languages."""

from typing import Annotated

import typer

from expand.cli import options
from expand.cli.output import counted, print_json, warn
from expand.cli.run_command import attended, note_author
from expand.cli.run_output import located, show_dry_run
from expand.drafting.run_options import RunOptions
from expand.drafting.translation import dry_run as plan_translation
from expand.drafting.translation import settings_of
from expand.drafting.translation import translate as translate_chapter
from expand.workspace import Workspace


def translate(
    place: Workspace,
    chapter: options.Chapter,
    to: Annotated[str, typer.Option("--to", metavar="LANGUAGE", help="One of the book's languages, such as en or zh.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be sent; send nothing.")] = False,
    *,
    buying: options.Buying,
    as_json: options.Json = False,
) -> None:
    """Translate a finished chapter; buy only what changed."""
    run_options = RunOptions.of(place, chapter, language=to, **buying._asdict())
    if dry_run:
        planned = plan_translation(place, run_options)
        raise typer.Exit(show_dry_run([planned], as_json=as_json))
    note_author(settings_of(place, run_options))
    result = attended(translate_chapter, place, run_options)
    for line in map(located(place, result.work.path), result.findings):
        warn(line)
    if result.stopped_by is not None:
        warn(f"{result.stopped_by}; {counted(result.missing, 'passage')} not translated yet")
    if as_json:
        print_json(result.as_json())
    else:
        work = result.work
        kept = sum((one.kind, one.severity) == ("untranslated", "warning") for one in result.findings)
        said = f"{work.path}: {counted(len(work.passages), 'passage')} of {work.original_path}"
        left = f", {kept} left as they are" if kept else ""
        asked = counted(result.usage.attempts, "request")
        typer.echo(f"{said}{left}; {len(work.answered)} asked for now with {asked}")
    raise typer.Exit(result.exit_code)
