"""``expand brief``: what the sections of a chapter share."""

from typing import Annotated

import typer

from expand.cli import options
from expand.cli.output import print_json, print_text, warn
from expand.cli.run_command import attended, note_author
from expand.drafting.brief import read_brief
from expand.drafting.chapter_requests import write_brief
from expand.drafting.run_options import RunOptions
from expand.workspace import Workspace, read_text


def brief(
    place: Workspace,
    chapter: options.Chapter,
    fresh: Annotated[bool, typer.Option("--fresh", help="Have it written anew.")] = False,
    language: options.Language = None,
    *,
    buying: options.Buying,
    as_json: options.Json = False,
) -> None:
    """Show what a chapter's sections share, or have it written."""
    path = place.brief_path(chapter)
    place.outline(chapter)
    code = 0
    if fresh or not path.is_file():
        run_options = RunOptions.of(place, chapter, language=language, fresh=fresh, **buying._asdict())
        note_author(run_options.settings(place))
        made = attended(write_brief, place, run_options)
        for problem in made.problems:
            warn(f"briefs/{chapter}.yaml: {problem}" if made.value else f"the answer makes no brief: {problem}")
        if made.stopped_by is not None:
            warn(str(made.stopped_by))
        code = made.stopped_by.exit_code if made.stopped_by else 5 if made.problems else 0
    found = read_brief(path, root=place.root) if path.is_file() else None
    if as_json:
        print_json(
            {"chapter": chapter, "path": place.relative(path) if found else None, "brief": found and found.as_data()}
        )
    elif found:
        print_text(read_text(path))
    raise typer.Exit(code)
