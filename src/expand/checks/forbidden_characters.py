"""Check for characters that a Markdown file must not hold."""

from expand.checks.finding import Finding, finding
from expand.markdown.sanitize import FORBIDDEN, HARMFUL, name_of


def forbidden_characters(text: str, *, section: int) -> list[Finding]:
    """One finding for each such character: its name, how often and where first it stands."""
    lines: dict[str, list[int]] = {}
    for number, row in enumerate(text.split("\n"), 1):
        for found in FORBIDDEN.finditer(row):
            lines.setdefault(found[0], []).append(number)
    return [
        finding(
            "forbidden-character",
            section,
            where[0],
            f"the text holds {name_of(character)}" + (f", {len(where):,} times" if len(where) > 1 else ""),
            severity="blocking" if HARMFUL.match(character) else "warning",
        )
        for character, where in lines.items()
    ]
