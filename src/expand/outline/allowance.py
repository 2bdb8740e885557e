"""What a book and its outlines allow to be spent, and what was spent before, by budget scope."""

from __future__ import annotations

from collections.abc import Mapping

from expand.budget import Limit, pico_from_usd
from expand.outline import Allowance, Book, Outline


def limits_of(book: Book, outlines: Mapping[str, Outline]) -> dict[str, Limit]:
    """The limits that the book and the outlines state, by scope."""
    limits = {"book": _limit(book.allowance)}
    for chapter, outline in outlines.items():
        limits[f"chapter:{chapter}"] = _limit(outline.allowance or Allowance())
    return limits


def _limit(allowance: Allowance) -> Limit:
    pico = None if allowance.usd is None else pico_from_usd(allowance.usd)
    return Limit(tokens=allowance.tokens, pico_usd=pico)


def openings_of(book: Book) -> dict[str, int]:
    """Opening balances in tokens, by scope."""
    return {"book": sum(opening.tokens for opening in book.openings)}


def money_openings_of(book: Book) -> dict[str, int]:
    """Opening balances in pico-dollars, by scope."""
    return {"book": sum(pico_from_usd(opening.usd) for opening in book.openings if opening.usd)}
