"""The named blocks of templates: what each of the packaged ones is for, and their text in a file.

A block is what a template of one's own changes, with the rest left as it is.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

_BLOCK = re.compile(
    r"\{%[-+]?\s*block\s+(?P<name>\w+)[^%]*%\}\n?(?P<body>.*?)\{%[-+]?\s*endblock\b[^%]*%\}",
    re.DOTALL,
)
_EXTENDS = re.compile(r"""\{%[-+]?\s*extends\s+["'](?P<name>[^"']+)["']""")

_ASKING_LENGTH = "How many lines are wanted; keep it last."
BLOCKS: Mapping[str, Mapping[str, str]] = {
    "system.j2": {
        "role": "Who is written to, in a sentence.",
        "chapter": "Book, chapter, language and readers.",
        "style": "The house style; empty without one.",
        "rules": "The book's house rules and the tool's own.",
        "glossary": "Terms.",
        "outline": "All sections and topics of the chapter.",
        "requests": "How requests are put, and what each kind of them wants.",
        "length": "How lines are counted.",
    },
    "section.j2": {
        "section": "Which section it is.",
        "told": "What earlier sections say, with `--context`.",
        "note": "The outline's note for the section.",
        "source": "The author's own text in this place.",
        "before": "The last lines of what the section says so far.",
        "topics": "What to write about.",
        "code": "How many code examples are wanted.",
        "manner": "What the house style says of this request; empty without one.",
        "revision": "An editor's instruction, and the text as it stands.",
        "length": _ASKING_LENGTH,
    },
    "continue.j2": {
        "section": "Which section it is.",
        "topics": "The topic that goes on.",
        "fence": "The code block that the text breaks off in.",
        "before": "The end of what is written.",
        "matter": "What to go on with.",
        "length": _ASKING_LENGTH,
    },
    "repair.j2": {
        "section": "Which text it is.",
        "problems": "What is wrong with it.",
        "present": "The text.",
        "matter": "What to do about it.",
        "length": _ASKING_LENGTH,
    },
    "brief/system.j2": {
        "genre": "What kind of text it is: a handbook, a tutorial.",
        "style": "The house style; empty without one.",
    },
    "brief/section.j2": {
        "topics": "What to write about.",
        "revision": "An editor's instruction.",
        "length": _ASKING_LENGTH,
    },
    "brief/continue.j2": {
        "topics": "The topic that goes on.",
        "before": "The end of what is written.",
        "length": _ASKING_LENGTH,
    },
}
"""The packaged templates' blocks, in their order."""


def blocks_of(text: str) -> Mapping[str, str]:
    """The text of each block in a template's source. Blocks within blocks are not told apart."""
    return {match["name"]: match["body"] for match in _BLOCK.finditer(text)}


def extended_by(text: str) -> str:
    """The template that a source extends, "" if none."""
    match = _EXTENDS.search(text)
    return match["name"] if match else ""
