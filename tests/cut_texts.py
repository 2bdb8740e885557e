"""Cut texts at tokens and go on from there in three manners; ``python -m benchmarks.joins`` cuts many."""

from __future__ import annotations

import itertools
import random
import re
from collections import Counter
from collections.abc import Callable, Mapping

from expand.drafting.section_text import SectionText, Skeleton
from expand.llm.tokens import RANKS_FOLDER, load_ranks
from expand.llm.types import Finish

MANNERS: Mapping[str, Callable[[str], int]] = {
    "verbatim": len,
    "line": lambda text: max(text.rfind("\n"), text.rfind("\r")) + 1,
    "block": lambda text: max((found.end() for found in re.finditer(r"(?:\r?\n){2,}(?=[^\r\n])", text)), default=0),
}


def draft(answers: list[str]) -> SectionText:
    """A section's text after answers that were all cut but the last."""
    text = SectionText(Skeleton(number=1, title="Joins", topics=("One topic",), target=100))
    for answer in answers[:-1]:
        text.add(answer, Finish.LENGTH, (0,))
    text.add(answers[-1], Finish.STOP, (0,))
    return text


def token_ends(text: str) -> list[int]:
    """Where the tokens of a text end, the last one aside: so far an answer comes that is cut."""
    ranks = load_ranks("o200k_base", RANKS_FOLDER)
    pieces = ranks.decode_tokens_bytes(ranks.encode(text, disallowed_special=()))
    return [len(part.decode(errors="ignore")) for part in itertools.accumulate(pieces)][:-1]


def answers_of(text: str, manner: str, chance: random.Random) -> list[str]:
    """A text as answers, each but the last cut at a token."""
    ends = token_ends(text)
    ends = sorted(chance.sample(ends, k=min(chance.choice((1, 1, 2, 3)), len(ends))))
    starts = [0, *(MANNERS[manner](text[:end]) for end in ends)]
    return [text[start:end] for start, end in zip(starts, [*ends, len(text)], strict=True)]


def run(chosen: list[str], count: int, manner: str, chance: random.Random, *, show: bool = False) -> Counter[str]:
    """Cut ``count`` texts; returns how many drafts are equal, doubtful and different."""
    outcomes: Counter[str] = Counter()
    for text in chance.choices(chosen, k=count):
        answers = answers_of(text, manner, chance)
        whole, joined = draft([text]), draft(answers)
        outcome = "equal" if joined.render() == whole.render() else "doubtful" if joined.doubts else "different"
        outcomes[outcome] += 1
        outcomes["named"] += bool(joined.doubts)
        if show and outcome != "equal":
            one, other = whole.render(), joined.render()
            at = next((at for at, pair in enumerate(zip(one, other, strict=False)) if pair[0] != pair[1]), 0)
            ends = [(answer[-40:], following[:40]) for answer, following in itertools.pairwise(answers)]
            print(f"--- {manner} {outcome}\n {one[max(0, at - 60) : at + 60]!r}\n {other[max(0, at - 60) : at + 60]!r}")
            print(f" {ends!r}")
    return outcomes
