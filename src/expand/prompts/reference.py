"""Write the page about templates from what the code declares: Markdown for docs/reference."""

from collections.abc import Iterator, Sequence

from expand.prompts.context import (
    PURPOSES,
    TEMPLATE_NOTES,
    ChapterContext,
    RequestContext,
    SectionContext,
    SuggestionContext,
    context_of,
    variables_of,
)
from expand.prompts.rendering import PLAIN, known_styles


def reference() -> str:
    """Which templates there are, which one counts, their blocks, and what each may use."""
    purposes = [(f"`{name}`", purpose) for name, purpose in PURPOSES.items()]
    used = ", ".join(f"`{name}`" for name in PURPOSES if context_of(name) is RequestContext)
    styles = ", ".join(f"`{name}`" for name in known_styles(None) if name != PLAIN)
    parts = [
        "# Templates",
        TEMPLATE_NOTES["about"],
        _table(("Template", "What it is for"), purposes),
        "## Which one counts",
        TEMPLATE_NOTES["order"],
        f"House styles that come with the tool: {styles}. `{PLAIN}` is none.",
        "## What is checked",
        TEMPLATE_NOTES["checked"],
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
    for name, blocks in TEMPLATE_NOTES["blocks"].items():
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
