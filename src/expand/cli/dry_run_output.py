"""A dry run as a table or as JSON."""

from collections.abc import Sequence

from expand.budget import usd_from_pico
from expand.cli.common import print_json
from expand.cli.tables import TableColumn, console, print_table, say
from expand.drafting.dry_run import DryRun
from expand.schema import Json


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
    total = _sum(planned)
    if as_json:
        print_json({"dry_run": True, "sections": [_json(p) for p in planned], "total": _figures(total)})
        return 0
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


def _sum(planned: Sequence[DryRun]) -> DryRun:
    """All sections as one."""
    costs = [p.cost_pico_usd for p in planned]
    return DryRun(
        chapter="",
        section=0,
        title="",
        reused=False,
        cost_pico_usd=None if None in costs else sum(cost for cost in costs if cost is not None),
        lines=sum(p.lines for p in planned),
        requests=sum(p.requests for p in planned),
        prompt_tokens=sum(p.prompt_tokens for p in planned),
        completion_tokens=sum(p.completion_tokens for p in planned),
        reserved_tokens=sum(p.reserved_tokens for p in planned),
    )


def _json(p: DryRun) -> dict[str, Json]:
    head: dict[str, Json] = {"chapter": p.chapter, "number": p.section, "title": p.title, "reused": p.reused}
    return {**head, **_figures(p), "largest_reservation": p.largest}


def _figures(p: DryRun) -> dict[str, Json]:
    return {
        "lines": p.lines,
        "requests": p.requests,
        "prompt_tokens": p.prompt_tokens,
        "completion_tokens": p.completion_tokens,
        "reserved_tokens": p.reserved_tokens,
        "cost": None if p.cost_pico_usd is None else str(usd_from_pico(p.cost_pico_usd)),
    }
