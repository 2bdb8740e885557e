"""``expand export``: a chapter as EPUB, DOCX or HTML."""

from pathlib import Path
from typing import Annotated

import typer

from expand.cli import options
from expand.cli.common import require_choice, workspace_of
from expand.drafting.accept import draft_text
from expand.drafting.export import FORMATS, export_text, require_pandoc
from expand.errors import InputError, Place
from expand.workspace import read_text


def export(
    context: typer.Context,
    chapter: options.Chapter,
    form: Annotated[str, typer.Option("--to", metavar="FORMAT", help="epub, docx or html.")],
    language: options.DraftLanguage = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="FILE", help="The file; else CHAPTER.FORMAT here.")
    ] = None,
) -> None:
    """Make an EPUB, DOCX or HTML file of a chapter with pandoc.

    It is made of the draft, or of the document where there is no draft."""
    known = require_choice("--to", form, FORMATS)
    require_pandoc()
    place = workspace_of(context)
    book = place.book()
    written = place.draft_language(book, chapter, language)
    outline = place.outline(chapter, written)
    source, name = place.source_path(outline.source), book.draft_name(chapter, written)
    if place.draft_path(name).is_file():
        text = draft_text(place, name)
    elif source.is_file():
        text = read_text(source)
    else:
        raise InputError(
            "there is neither a draft nor a document",
            remedy=f"make a draft with `expand chapter {chapter}`",
            place=Place(path=outline.source),
        )
    path = output or Path(f"{name}.{known}")
    title = outline.title.say(written, book.language)
    folder = source.parent if source.parent.is_dir() else place.root
    export_text(text, path, known, folder=folder, title=title, language=written)
    typer.echo(path)
