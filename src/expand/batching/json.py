"""What became of batches as JSON: what ``expand chapter --batch … --json`` prints."""

from __future__ import annotations

from datetime import datetime

from expand.batching.result import Gathered, Submitted
from expand.batching.whereabouts import Whereabouts
from expand.completion import Json
from expand.drafting.result import balance_json
from expand.ledger.batch_rows import BatchRow


def submitted_json(result: Submitted, *, dry_run: bool) -> dict[str, Json]:
    """A submission, section by section."""
    return {
        "dry_run": dry_run,
        "batches": [batch_json(batch) for batch in result.batches],
        "questions": len(result.plan.orders),
        "reserved_tokens": sum(order.amount.tokens for order in result.plan.orders),
        "waiting": result.waiting,
        "held": result.held,
        "refused": [*result.refused],
        "problem": result.problem,
        "sections": [
            {
                "chapter": section.chapter,
                "number": section.number,
                "title": section.title,
                "state": section.state,
                "questions": len(section.orders),
            }
            for section in result.plan.sections
        ],
        "budget": balance_json(result.balance),
    }


def whereabouts_json(one: Whereabouts) -> dict[str, Json]:
    """One batch, and what its provider says of it."""
    remote = one.remote
    seen: dict[str, Json] | None = None
    if remote is not None:
        seen = {
            "status": remote.status,
            "total": remote.total,
            "completed": remote.completed,
            "failed": remote.failed,
            "errors": [*remote.errors],
        }
    left = one.left_seconds
    return {
        **batch_json(one.batch),
        "in_flight": one.in_flight,
        "reserved_tokens": one.reserved_tokens,
        "age_seconds": round(one.age_seconds, 1),
        "left_seconds": None if left is None else round(left, 1),
        "provider": seen,
        "problem": one.problem,
    }


def gathered_json(result: Gathered) -> dict[str, Json]:
    """A collection: its batches, and the run that drafted from them."""
    drafted: dict[str, Json] = result.drafted.as_json() if result.drafted else {"chapters": []}
    return {
        **drafted,
        "batches": [
            {
                **batch_json(one.batch),
                "settled": one.settled,
                "unreadable_lines": one.strange,
                "reasons": [*one.reasons],
                "problem": one.problem,
            }
            for one in result.batches
        ],
        "missing": [{"chapter": c, "section": n} for c, n in result.missing],
        "budget": balance_json(result.balance),
    }


def batch_json(batch: BatchRow) -> dict[str, Json]:
    """One batch as every action shows it."""
    return {
        "id": batch.id,
        "provider_id": batch.remote or None,
        "stage": batch.stage.value,
        "provider_status": batch.remote_status or None,
        "model": batch.model,
        "chapters": batch.terms["chapters"],
        "language": batch.terms["language"],
        "plan": batch.terms["plan"],
        "requests": batch.requests,
        "answered": batch.answered,
        "unbilled": batch.unbilled,
        "unknown": batch.unknown,
        "began_at": _time(batch.began_at),
        "submitted_at": _time(batch.submitted_at),
        "expires_at": _time(batch.expires_at),
        "ended_at": _time(batch.ended_at),
        "note": batch.note,
    }


def _time(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat(timespec="seconds")
