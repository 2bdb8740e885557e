"""Prints the tables: streaming, growth with a second run, start-up."""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from benchmarks.speed.book import make_book
from benchmarks.speed.server import WORDS_A_LINE, Pace, serving
from benchmarks.speed.sides import Measured, bare_side, expand_side, first_messages, in_process


@dataclass(frozen=True)
class Size:
    """How large the runs are: sections streamed 64 at a time, and sections of a small and of a large book."""

    streamed: tuple[int, ...]
    tokens: int
    small: int
    large: int
    repeats: int


FULL = Size(streamed=(64, 256), tokens=800, small=1000, large=10_000, repeats=5)
QUICK = Size(streamed=(64,), tokens=240, small=200, large=2000, repeats=1)
HEADING_LINES = 2
"""A section is whole with its heading and the blank line under it, which the tool adds."""


@contextmanager
def _book(sections: int, answer_lines: int) -> Iterator[tuple[Path, tuple[str, ...]]]:
    with tempfile.TemporaryDirectory(prefix="book-") as folder:
        root = Path(folder) / "book"
        yield root, make_book(root, sections, lines=answer_lines + HEADING_LINES)


def _row(name: str, side: Measured, count: int) -> None:
    figures = f"{side.wall:9.2f}{1000 * side.cpu / count:9.2f}{side.memory:7.0f}{side.requests:10}"
    print(f"  {name:22}{figures}", flush=True)


def _head(title: str) -> None:
    print(f"\n{title}\n  {'':22}{'wall s':>9}{'CPU ms':>9}{'MB':>7}{'requests':>10}", flush=True)


def streaming(size: Size) -> None:
    """Wall and CPU beside the bare client: a second until the first token, then 80 tokens a second.

    The bare client runs before and after, in case the machine becomes faster or slower.
    """
    width, pace = 64, Pace(lines=round(size.tokens / WORDS_A_LINE), latency=1.0, per_second=80.0)
    for count in size.streamed:
        _head(f"{count} sections of {size.tokens} tokens at 80 tokens/s after 1 s, {width} at a time")
        with _book(count, pace.lines) as (root, ids), serving(pace) as port:
            messages = first_messages(root, ids[0])
            before = in_process(bare_side, messages, count, port, width)
            _row("bare client", before, count)
            ours = in_process(expand_side, root, ids, port, width)
            _row("expand", ours, count)
            after = in_process(bare_side, messages, count, port, width)
            _row("bare client again", after, count)
            wall, cpu = (before.wall + after.wall) / 2, (before.cpu + after.cpu) / 2
            print(f"  expand is {ours.wall / wall:.3f} x the bare client's wall, {ours.cpu / cpu:.2f} x its CPU")


SHORT = Pace(lines=18)


def growth(size: Size) -> None:
    """What a section costs in a small and in a large book, and a second run of the large one.

    Small books are made before and after the large one, in case the machine becomes faster or slower.
    """
    _head(f"{size.small} and {size.large} short sections, 16 at a time")
    small = [_small(size) for _ in range(2)]
    with _book(size.large, SHORT.lines) as (root, ids), serving(SHORT) as port:
        large = in_process(expand_side, root, ids, port, 16)
        _row(f"{size.large} sections", large, size.large)
        small += [_small(size) for _ in range(2)]
        usual = median(one.cpu for one in small) / size.small
        print(f"  CPU a section {large.cpu / size.large / usual:.2f} x the small books' median")
        again = in_process(expand_side, root, ids, port, 16)
        _row("second run", again, size.large)
        print(f"  the budget report of it takes {_timed(root, ['budget']):.2f} s")


def _small(size: Size) -> Measured:
    with _book(size.small, SHORT.lines) as (root, ids), serving(SHORT) as port:
        small = in_process(expand_side, root, ids, port, 16)
        _row(f"{size.small} sections", small, size.small)
    return small


def start_up(size: Size) -> None:
    """The time of commands that send nothing."""
    print("\nStart-up, the median of several")
    with _book(10, SHORT.lines) as (root, _):
        for command in (["--help"], ["budget"], ["status"], ["outline", "check"]):
            _timed(root, command)  # compiles what is not compiled yet
            usual = median(_timed(root, command) for _ in range(3 * size.repeats))
            print(f"  expand {' '.join(command):20}{usual:6.2f} s")


def _timed(root: Path, command: list[str]) -> float:
    started = time.perf_counter()
    run = [sys.executable, "-m", "expand", *command]
    subprocess.run(run, cwd=root, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - started


TABLES: dict[str, Callable[[Size], None]] = {"streaming": streaming, "growth": growth, "start-up": start_up}


def main() -> None:
    """Run the tables that the command line names, all of them by default."""
    parser = argparse.ArgumentParser(prog="benchmarks.speed", description=__doc__)
    parser.add_argument("tables", nargs="*", choices=[*TABLES, []], metavar="TABLE")
    parser.add_argument("--quick", action="store_true", help="smaller runs")
    given = parser.parse_args()
    for name in given.tables or TABLES:
        TABLES[name](QUICK if given.quick else FULL)


if __name__ == "__main__":
    main()
