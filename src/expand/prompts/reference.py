"""Write the page about templates from what the code declares: Markdown for docs/reference."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from expand.prompts.context import (
    PURPOSES,
    ChapterContext,
    RequestContext,
    SectionContext,
    SuggestionContext,
    context_of,
    variables_of,
)
from expand.prompts.template_lookup import PLAIN, known_styles

_ABOUT = """\
Prompts are [Jinja2](https://jinja.palletsprojects.com/) templates. `expand prompt list` shows which
there are and whose, `expand prompt eject` copies one or a block of it to be changed, and `expand
prompt diff` shows what was changed. How to do it, by task: [Prompts](../prompts.md).
"""

_ORDER = """\
A template is looked for in these folders of the workspace, and the first one found counts:

1. `prompts/chapters/<id>/`: for that chapter alone
2. `prompts/styles/<style>/`: for chapters of that house style; then the style's packaged folder
3. `prompts/`: for the whole book
4. the packaged templates

The more particular comes first: a chapter is one text of its style, a style is one way of writing
in the book. Packaged styles come before the book's own templates and extend them: they change the
blocks `style`, `manner` and `matter` (for a small model also `genre`), and all else is the book's.

A file for a kind of model, such as `brief/section.j2`, is for models whose profile says `style =
"brief"`. For these it comes before every plain `section.j2`, whatever folder that is in.

Within a template, `{% extends "section.j2" %}` and `{% include "length.j2" %}` look in the same
order; a template that names itself gets the next one. So `prompts/chapters/04/section.j2` extends
the style's template, that one the book's, and that one the packaged one. `book/section.j2` means
the book's (else the packaged one), `shipped/section.j2` the packaged one.

A section is current while the templates that count for its chapter say the same, and all that they
extend or include. A file for chapter 04 does not touch chapter 03.
"""

_CHECKED = """\
Before anything is sent, every template is tried:

- A name that nothing declares is an error with file, line, and the name that was meant.
- `system.j2` sees only what holds for the whole chapter: it is sent first and is the same in each
  request, byte for byte, so that a provider's cache can serve it. There is neither chance nor a
  clock in templates.
- A request ends on the lines wanted: the last figure before `lines` or `行` is theirs, whatever the
  quoted texts say.
"""


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


def reference() -> str:
    """Which templates there are, which one counts, their blocks, and what each may use."""
    purposes = [(f"`{name}`", purpose) for name, purpose in PURPOSES.items()]
    used = ", ".join(f"`{name}`" for name in PURPOSES if context_of(name) is RequestContext)
    styles = ", ".join(f"`{name}`" for name in known_styles(None) if name != PLAIN)
    parts = [
        "# Templates",
        _ABOUT.rstrip(),
        _table(("Template", "What it is for"), purposes),
        "## Which one counts",
        _ORDER.rstrip(),
        f"House styles that come with the tool: {styles}. `{PLAIN}` is none.",
        "## What is checked",
        _CHECKED.rstrip(),
        "## Blocks",
        "A template of your own that extends another changes the blocks that it names.",
        *_blocks(),
        "## What `system.j2` may use",
        _variables(ChapterContext),
        "Each of `sections` has:",
        _variables(SectionContext),
        f"## What {used} may use",
        _variables(RequestContext),
        "## What `suggest.j2` may use",
        _variables(SuggestionContext),
    ]
    return "\n\n".join(parts) + "\n"


def _blocks() -> Iterator[str]:
    for name, blocks in BLOCKS.items():
        yield f"### `{name}`"
        yield _table(("Block", "What it says"), [(f"`{b}`", text) for b, text in blocks.items()])


def _variables(kind: type) -> str:
    rows = [
        (
            f"`{v.name}`",
            v.kind,
            v.meaning + (f" Default: `{v.default}`." if v.default else ""),
            _code(v.example),
        )
        for v in variables_of(kind)
    ]
    return _table(("Name", "Kind", "Meaning", "Example"), rows)


def _code(text: str) -> str:
    """A text as a Markdown code span, whatever backticks are in it."""
    return f"`{text}`" if "`" not in text else f"```` {text} ````"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])
