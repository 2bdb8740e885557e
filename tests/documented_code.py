"""The fenced code blocks of a Markdown document: language, code, line, and why one is not run.

A block that is not to be run says why in a comment of its own right before it:
``<!-- not run: it needs a key -->``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from expand.text import markdown

NOT_RUN = re.compile(r"<!--\s*not run:\s*(?P<reason>.+?)\s*-->\s*\Z")


@dataclass(frozen=True, kw_only=True)
class CodeBlock:
    """One block. ``line`` is that of its first line of code; ``not_run`` is "" where it is run."""

    path: Path
    line: int
    language: str
    code: str
    not_run: str

    @property
    def name(self) -> str:
        """How it is called in a test report."""
        return f"{self.path.name}:{self.line}"

    @property
    def commands(self) -> tuple[str, ...]:
        """The commands of a console block: what follows each ``$``, without its comment."""
        typed = [row[2:] for row in self.code.splitlines() if row.startswith("$ ")]
        return tuple(re.sub(r"\s+#.*$", "", row).strip() for row in typed)

    def padded(self) -> str:
        """The code with as many blank lines before it as it has in the document."""
        return "\n" * (self.line - 1) + self.code


def code_blocks(path: Path, *languages: str) -> list[CodeBlock]:
    """The blocks of a document in these languages, or all, in order."""
    text = path.read_text(encoding="utf-8")
    rows = text.splitlines()
    found = []
    for fence in markdown.fences(text):
        language = fence.language.split()[0] if fence.language.strip() else ""
        if languages and language not in languages:
            continue
        reason = NOT_RUN.search("\n".join(rows[: fence.start]).rstrip())
        found.append(
            CodeBlock(
                path=path,
                line=fence.start + 2,
                language=language,
                code=fence.code,
                not_run=reason["reason"] if reason else "",
            )
        )
    return found
