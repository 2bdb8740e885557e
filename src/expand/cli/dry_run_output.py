"""A dry run as a table or as JSON."""

from collections.abc import Sequence

from expand.budget import usd_from_pico
from expand.cli.common import print_json
from expand.cli.tables import TableColumn, console, print_table, say
from expand.drafting.dry_run import DryRun, dry_run_json, sum_of


def _named(p: DryRun) -> str:
    """The section, and why nothing would be sent for it."""
    reason = " (edited)" if p.edited else " (current)" if p.reused else ""
    return f"{p.chapter}/{p.section} {p.title}{reason}" if p.chapter else "Sum"


def _usd(p: DryRun) -> str:
    return "unknown" if p.cost_pico_usd is None else f"{usd_from_pico(p.cost_pico_usd):.4f}"


_COLUMNS: Sequence[TableColumn[DryRun]] = (
    TableColumn("Section", _named, False),
    TableColumn("Lines", lambda p: p.lines, spare=1),
    TableColumn("Requests", lambda p: p.requests, spare=2),
    TableColumn("Prompt tokens", lambda p: p.prompt_tokens, spare=4),
    TableColumn("Answer tokens", lambda p: p.completion_tokens, spare=3),
    TableColumn("Reserved at most", lambda p: p.reserved_tokens),
    TableColumn("USD at most", _usd),
)


def show_dry_run(planned: Sequence[DryRun], *, as_json: bool) -> int:
    """Prints requests, tokens, reservation and cost by section, and their sums. Returns the exit code."""
    if as_json:
        print_json(dry_run_json(planned))
        return 0
    total = sum_of(planned)
    shown = console()
    shown.print("\nDry run: nothing was sent", style="bold")
    print_table(shown, _COLUMNS, planned, total=total)
    say(
        shown,
        "Each request reserves the most that it can cost until its answer arrives; answers are expected to take about "
        "the tokens shown.",
    )
    if total.cost_pico_usd is None:
        say(shown, "The model has no known price, so the cost is unknown.")
    return 0
