"""How many hostile inputs are taken, how many refused with a message, and how many end in a traceback: none should.

Settings, outlines, books, templates, exports of ledgers, models' answers and providers' bodies, each made by Hypothesis
from a good one. Prints a table, and each traceback once, with the input that leads to it; exits 1 if there is one.

    uv run python -m benchmarks.hostile [--inputs 100000] [--kind NAME] [--seed N]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
import traceback
from collections import Counter
from pathlib import Path

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from hostile_inputs import Kind, kinds

SLOW_SECONDS = 10.0
"""An input that takes longer than this counts as slow."""


def run(name: str, kind: Kind, count: int, number: int, folder: Path) -> int:
    """Run inputs of a kind; print its row, and return how many ended in a traceback."""
    outcomes: Counter[str] = Counter()
    seen: set[str] = set()
    slowest = (0.0, "")
    began = time.monotonic()
    # Rounds of their own, since Hypothesis grows slow over tens of thousands of examples that it compares.
    rounds = max(1, count // 2000)

    def use(text: str) -> None:
        nonlocal slowest
        at = time.process_time()
        try:
            outcomes["accepted" if kind.use(folder, text) else "refused"] += 1
        except Exception as error:
            outcomes["tracebacks"] += 1
            last = traceback.extract_tb(error.__traceback__)[-1]
            what = f"{type(error).__name__} in {last.filename}:{last.lineno}: {str(error)[:200]}"
            if what not in seen:
                print(f"    {what}\n    {text[:2000]!r}", flush=True)
            seen.add(what)
        slowest = max(slowest, (time.process_time() - at, text))

    numbers = st.integers(0, 2**64 - 1)
    for each in range(rounds):
        examples = settings(
            max_examples=count // rounds,
            deadline=None,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        seed(number + each)(examples(given(numbers.map(kind.made_from))(use)))()
    total = sum(outcomes.values())
    figures = [total, outcomes["refused"], outcomes["accepted"], outcomes["tracebacks"]]
    row = "".join(f"{figure:>11,}" for figure in figures)
    print(f"{name:<16}{time.monotonic() - began:>9.0f}{slowest[0]:>9.2f}{row}", flush=True)
    if slowest[0] > SLOW_SECONDS:
        print(f"    slow: {slowest[1][:2000]!r}", flush=True)
    return outcomes["tracebacks"]


def main() -> None:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--inputs", type=int, default=100_000)
    parser.add_argument("--kind", choices=list(kinds()))
    parser.add_argument("--seed", type=int, default=0)
    given_ = parser.parse_args()
    print(f"{'kind':<16}{'seconds':>9}{'slowest':>9}{'inputs':>11}{'refused':>11}{'accepted':>11}{'tracebacks':>11}")
    failed = 0
    for name, kind in kinds().items():
        if given_.kind in (None, name):
            share = 1.0 if given_.kind else kind.share
            with tempfile.TemporaryDirectory() as folder:
                failed += run(name, kind, int(given_.inputs * share), given_.seed, Path(folder))
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
