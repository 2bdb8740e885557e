"""What a batch was submitted for, so that it can be collected without saying it again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from expand.drafting.run_options import RunOptions
from expand.ledger import Order
from expand.ledger.batch_rows import BatchRow, Stage
from expand.llm.batch_api import MOST_BYTES, MOST_REQUESTS
from expand.outline.plans import Plan
from expand.schema import Json

LINE_BYTES = 1_000
"""What a request's line in an input file takes at most beside its canonical form."""


def terms_of(options: RunOptions, cap_name: str) -> dict[str, Json]:
    """The terms; ``cap_name`` is how the provider calls the output cap."""
    return {
        "chapters": list(options.chapters),
        "language": options.language,
        "output_cap_name": cap_name,
        "plan": options.plan.value,
        "sections": None if options.sections is None else [*sorted(options.sections)],
    }


def options_of(rows: Sequence[BatchRow], chapters: tuple[str, ...] | None) -> tuple[tuple[str, RunOptions], ...]:
    """What the batches were for, each chapter as it was submitted last, with its model."""
    last: dict[str, tuple[str, str, str]] = {}
    for row in rows:
        named = row.terms["chapters"]
        assert isinstance(named, list)  # as ``terms_of`` wrote it
        if row.stage is not Stage.WITHDRAWN:
            kind = (row.model, str(row.terms["plan"]), str(row.terms["language"]))
            last.update((str(chapter), kind) for chapter in named)
    wanted = [chapter for chapter in sorted(last) if chapters is None or chapter in chapters]
    return tuple(
        (
            model,
            RunOptions(
                chapters=tuple(c for c in wanted if last[c] == (model, plan, language)),
                plan=Plan(plan),
                language=language,
            ),
        )
        for model, plan, language in dict.fromkeys(last[chapter] for chapter in wanted)
    )


def parts(orders: Sequence[Order]) -> Iterator[tuple[Order, ...]]:
    """The orders in batches that each fit one input file."""
    part: list[Order] = []
    size = 0
    for order in orders:
        bytes_of = len(order.request.canonical().encode()) + LINE_BYTES
        if part and (len(part) == MOST_REQUESTS or size + bytes_of > MOST_BYTES):
            yield tuple(part)
            part, size = [], 0
        part.append(order)
        size += bytes_of
    if part:
        yield tuple(part)
