"""``expand export``: a chapter as EPUB, DOCX or HTML, made by pandoc from the text as it stands.

pandoc runs in the document's folder, so that pictures are found; what it does not know of Markdown on the web (info
strings such as ``rust,no_run``) is put in its words first.
"""

import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from expand.cli import options
from expand.cli.options import require_choice
from expand.drafting.accept import draft_text
from expand.errors import InputError, Place
from expand.markdown import blocks
from expand.workspace import Workspace, read_text, write_atomically

FORMATS = ("html", "epub", "docx")
_READ = "gfm+footnotes+yaml_metadata_block+attributes+tex_math_dollars"


def export(
    place: Workspace,
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
    if shutil.which("pandoc") is None:
        raise InputError(
            "export needs pandoc, which is not installed",
            remedy="install it (https://pandoc.org/installing.html), or take the Markdown as it is",
        )
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
    title, heads = outline.title.say(written, book.language), blocks.headings(text)
    titled = bool(heads) and heads[0].level == 1 and sum(head.level == 1 for head in heads) == 1
    with tempfile.TemporaryDirectory() as made:
        result = Path(made) / f"chapter.{known}"
        ran = subprocess.run(
            [
                "pandoc", "--from", _READ, "--to", "html5" if known == "html" else known, "--standalone",
                # The only heading of the first level is the title, which pandoc sets by itself.
                *(["--shift-heading-level-by=-1"] if titled else []),
                # Pictures and style in the file, by the one name that pandoc before and behind 2.19 has for it.
                *(["--self-contained"] if known == "html" else []),
                "--metadata", f"title={title}", "--metadata", f"lang={written}", "--output", str(result),
            ],
            input=_for_pandoc(text), capture_output=True, encoding="utf-8", errors="replace", check=False,
            cwd=source.parent if source.parent.is_dir() else place.root,
        )  # fmt: skip
        if ran.returncode or not result.is_file():
            said = " ".join(ran.stderr.split()) or f"it ended with {ran.returncode}"
            raise InputError(
                f"pandoc failed: {said}",
                remedy="mend the document, or take a newer pandoc",
                place=Place(path=path),
            )
        write_atomically(path, result.read_bytes())
    typer.echo(path)


def _for_pandoc(text: str) -> str:
    """The text with fences that name their language alone."""
    rows = blocks.rows(text)
    for block in blocks.blocks(text):
        if block.kind == "fence" and block.info and block.info != block.language:
            at = rows[block.start].rindex(block.info)
            rows[block.start] = rows[block.start][:at] + block.language + rows[block.start][at + len(block.info) :]
    return "".join(rows)
