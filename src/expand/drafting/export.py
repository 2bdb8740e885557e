"""A chapter as EPUB, DOCX or HTML: made by pandoc, where that is installed, from the text as it stands.

pandoc runs in the document's folder, so that pictures are found; what it does not know of Markdown on the web (info
strings such as ``rust,no_run``) is put in its words first.
"""

import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Literal, get_args

from expand.errors import InputError, Place
from expand.markdown import blocks
from expand.workspace import write_bytes_atomically

ExportFormat = Literal["html", "epub", "docx"]
FORMATS: tuple[ExportFormat, ...] = get_args(ExportFormat)
_READ = "gfm+footnotes+yaml_metadata_block+attributes+tex_math_dollars"


def require_pandoc() -> None:
    """Raises ``InputError`` where pandoc is not installed."""
    if shutil.which("pandoc") is None:
        raise InputError(
            "export needs pandoc, which is not installed",
            remedy="install it (https://pandoc.org/installing.html), or take the Markdown as it is",
        )


def export_text(text: str, path: Path, form: ExportFormat, *, folder: Path, title: str, language: str) -> None:
    """Writes a document's text as a file of a format, whole or not at all. ``folder`` is where its links begin.

    Raises ``InputError`` with what pandoc says."""
    with tempfile.TemporaryDirectory() as made:
        output = Path(made) / f"chapter.{form}"
        heads = blocks.headings(text)
        titled = bool(heads) and heads[0].level == 1 and sum(head.level == 1 for head in heads) == 1
        ran = subprocess.run(
            [
                "pandoc", "--from", _READ, "--to", "html5" if form == "html" else form, "--standalone",
                # The only heading of the first level is the title, which pandoc sets by itself.
                *(["--shift-heading-level-by=-1"] if titled else []),
                # Pictures and style in the file, by the one name that pandoc before and behind 2.19 has for it.
                *(["--self-contained"] if form == "html" else []),
                "--metadata", f"title={title}", "--metadata", f"lang={language}", "--output", str(output),
            ],
            input=_for_pandoc(text), capture_output=True, encoding="utf-8", errors="replace", cwd=folder, check=False,
        )  # fmt: skip
        if ran.returncode or not output.is_file():
            said = " ".join(ran.stderr.split()) or f"it ended with {ran.returncode}"
            raise InputError(
                f"pandoc failed: {said}",
                remedy="mend the document, or take a newer pandoc",
                place=Place(path=path),
            )
        data = output.read_bytes()
    write_bytes_atomically(path, data)


def _for_pandoc(text: str) -> str:
    """The text with fences that name their language alone."""
    rows = blocks.rows(text)
    for block in blocks.blocks(text):
        if block.kind == "fence" and block.info and block.info != block.language:
            at = rows[block.start].rindex(block.info)
            rows[block.start] = rows[block.start][:at] + block.language + rows[block.start][at + len(block.info) :]
    return "".join(rows)
