"""``expand reference add``: save a page into the workspace, to be cited."""

from dataclasses import asdict
from typing import Annotated

import typer

from expand.cli import options
from expand.cli.output import note, print_json
from expand.references.reference_files import save
from expand.workspace import Workspace


def add(
    place: Workspace,
    url: Annotated[str, typer.Argument(metavar="URL", help="The page or file; http or https.")],
    name: Annotated[str, typer.Option("--name", metavar="FILE", help="Its name in references/.")] = "",
    as_json: options.Json = False,
) -> None:
    """Save a web page or file into references/, to be cited.

    Beside it stands a YAML file with its address, the date and its hash. Name it under `references:` in an outline."""
    made = save(place, url, name=name)
    if as_json:
        print_json({"path": made.path, **asdict(made.saved), "bytes": made.size, "changed": made.changed})
    else:
        typer.echo(made.path)
        note(f"{made.size:,} bytes saved" if made.changed else f"unchanged since {made.saved.date}")
