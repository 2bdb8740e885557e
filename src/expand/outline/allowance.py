"""What a book and its outlines allow to be spent, and what was spent before, by budget scope."""

from collections.abc import Mapping

from expand.budget import Limit, pico_from_usd
from expand.errors import InputError, Place
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
    """Opening balances in pico-dollars, by scope.

    Raises ``InputError`` where the allowance is in dollars and what an opening cost is not known:
    unknown is never zero."""
    unpriced = [each for each in book.openings if each.usd is None and each.tokens]
    if unpriced and book.allowance.usd is not None:
        chapters = ", ".join(unpriced[0].chapters) or "the book"
        raise InputError(
            f"the allowance is in dollars, and the opening balance of {unpriced[0].tokens:,} "
            f"tokens ({chapters}) does not say what it cost",
            remedy="add usd to it, or take usd from the allowance",
            place=Place(path="outlines/book.yaml"),
        )
    return {"book": sum(pico_from_usd(opening.usd) for opening in book.openings if opening.usd)}
