"""A dry run as a table or as JSON."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from expand.budget import usd_from_pico
from expand.cli.common import print_json
from expand.completion import Json
from expand.drafting.rehearsal import Planned


def show_planned(planned: Sequence[Planned], *, as_json: bool) -> None:
    """Prints requests, tokens, reservation and cost by section, and their sums."""
    if as_json:
        print_json(
            {"dry_run": True, "sections": [_json(p) for p in planned], "total": _sum(planned)}
        )
        return
    console = Console(highlight=False)
    table = Table(title="Dry run: nothing was sent")
    table.add_column("Section")
    names = (
        "Lines",
        "Requests",
        "Prompt tokens",
        "Answer tokens",
        "Reserved at most",
        "Cost at most",
    )
    for name in names:
        table.add_column(name, justify="right")
    for p in planned:
        title = Text(f"{p.chapter}/{p.section} {p.title}{' (current, reused)' if p.reused else ''}")
        table.add_row(
            title,
            f"{p.lines:,}",
            f"{p.requests:,}",
            f"{p.prompt_tokens:,}",
            f"{p.completion_tokens:,}",
            f"{p.reserved_tokens:,}",
            _money(p.cost_pico_usd),
        )
    total = _sum(planned)
    table.add_section()
    table.add_row(
        "Sum",
        f"{total['lines']:,}",
        f"{total['requests']:,}",
        f"{total['prompt_tokens']:,}",
        f"{total['completion_tokens']:,}",
        f"{total['reserved_tokens']:,}",
        _money(_cost(planned)),
    )
    console.print(table)
    console.print(
        "Reserved is the most that each request can cost, freed when its answer comes; answers are "
        "expected to take about the tokens shown."
    )


def _money(pico: int | None) -> str:
    return "no price known" if pico is None else f"{usd_from_pico(pico):.4f} USD"


def _cost(planned: Sequence[Planned]) -> int | None:
    costs = [p.cost_pico_usd for p in planned]
    return None if None in costs else sum(cost for cost in costs if cost is not None)


def _sum(planned: Sequence[Planned]) -> dict[str, Json]:
    cost = _cost(planned)
    return {
        "lines": sum(p.lines for p in planned),
        "requests": sum(p.requests for p in planned),
        "prompt_tokens": sum(p.prompt_tokens for p in planned),
        "completion_tokens": sum(p.completion_tokens for p in planned),
        "reserved_tokens": sum(p.reserved_tokens for p in planned),
        "cost": None if cost is None else str(usd_from_pico(cost)),
    }


def _json(p: Planned) -> dict[str, Json]:
    return {
        "chapter": p.chapter,
        "number": p.section,
        "title": p.title,
        "lines": p.lines,
        "reused": p.reused,
        "requests": p.requests,
        "prompt_tokens": p.prompt_tokens,
        "completion_tokens": p.completion_tokens,
        "reserved_tokens": p.reserved_tokens,
        "largest_reservation": p.largest,
        "cost": None if p.cost_pico_usd is None else str(usd_from_pico(p.cost_pico_usd)),
    }
