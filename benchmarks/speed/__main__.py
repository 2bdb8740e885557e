"""Prints the tables: latency, throughput, growth, a second run, start-up."""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from statistics import median

from benchmarks.speed.book import ANSWER_LINES, make_book
from benchmarks.speed.server import serving
from benchmarks.speed.sides import Measured, bare_side, expand_side, first_messages, in_process


@dataclass(frozen=True)
class Size:
    """How large the runs are: sections at latency 0, of the small and of the large book."""

    throughput: int
    small: int
    large: int
    repeats: int


FULL, QUICK = Size(2000, 1000, 10_000, 5), Size(500, 200, 2000, 1)


@contextmanager
def _book(sections: int) -> Iterator[tuple[Path, tuple[str, ...]]]:
    with tempfile.TemporaryDirectory(prefix="book-") as folder:
        root = Path(folder) / "book"
        yield root, make_book(root, sections)


def _row(name: str, side: Measured, count: int, *ratios: str) -> None:
    print(
        f"  {name:22}{side.loading:9.2f}{side.wall:9.2f}{1000 * side.cpu / count:9.2f}"
        f"{side.memory:7.0f}{side.requests:9}{'':3}{'   '.join(ratios)}"
    )


def _head(title: str) -> None:
    print(f"\n{title}")
    print(f"  {'':22}{'loading s':>9}{'wall s':>9}{'CPU ms':>9}{'MB':>7}{'requests':>9}")


def latency(size: Size) -> None:
    """Wall over the ideal, with a second for every answer."""
    cases = ((16, 128), (64, 512)) if size is FULL else ((16, 64),)
    for width, count in cases:
        ideal = ceil(count / width)
        _head(f"Latency 1 s, {count} sections, {width} at a time: ideal {ideal} s")
        with _book(count) as (root, ids), serving(1.0, ANSWER_LINES) as port:
            messages = first_messages(root, ids[0])
            bare = in_process(bare_side, messages, count, port, width)
            _row("bare client", bare, count, f"{bare.wall / ideal:.3f} x ideal")
            ours = in_process(expand_side, root, ids, port, width)
            _row("expand", ours, count, f"{ours.wall / ideal:.3f} x ideal")


def throughput(size: Size) -> None:
    """Sections a second with a server that answers at once. The two sides take turns, and the
    median of their ratios counts: a machine that others share is not equally fast all the time.
    """
    count, width = size.throughput, 16
    both: list[tuple[Measured, Measured]] = []
    for _ in range(size.repeats):
        _head(f"Latency 0, {count} sections, {width} at a time")
        with _book(count) as (root, ids), serving(0.0, ANSWER_LINES) as port:
            messages = first_messages(root, ids[0])
            bare = in_process(bare_side, messages, count, port, width)
            _row("bare client", bare, count)
            ours = in_process(expand_side, root, ids, port, width)
            _row(
                "expand",
                ours,
                count,
                f"throughput {bare.wall / ours.wall:.2f} x bare",
                f"CPU {ours.cpu / bare.cpu:.2f} x bare",
            )
            both.append((bare, ours))
    pace = median(bare.wall / ours.wall for bare, ours in both)
    cpu = median(ours.cpu / bare.cpu for bare, ours in both)
    print(f"  medians: throughput {pace:.2f} x bare   CPU {cpu:.2f} x bare")
    print(f"  {ours.tokens / max(1, ours.lines):.1f} tokens bought for a line delivered")


def growth(size: Size) -> None:
    """What a section costs in a small and in a large book, and a second run of the large one. Small
    books are made before and after the large one, in case the machine becomes faster or slower.
    """
    _head(f"Growth, {size.small} to {size.large} sections, 16 at a time")
    small = [_small(size) for _ in range(2)]
    with _book(size.large) as (root, ids), serving(0.0, ANSWER_LINES) as port:
        large = in_process(expand_side, root, ids, port, 16)
        _row(f"{size.large} sections", large, size.large)
        small += [_small(size) for _ in range(2)]
        usual = median(one.cpu for one in small) / size.small
        print(f"  CPU a section {large.cpu / size.large / usual:.2f} x the small books' median")
        again = in_process(expand_side, root, ids, port, 16)
        _row("second run", again, size.large)
        started = time.perf_counter()
        _command(root, "budget")
        print(f"  the budget report of it takes {time.perf_counter() - started:.2f} s")


def _small(size: Size) -> Measured:
    with _book(size.small) as (root, ids), serving(0.0, ANSWER_LINES) as port:
        small = in_process(expand_side, root, ids, port, 16)
        _row(f"{size.small} sections", small, size.small)
    return small


def start_up(size: Size) -> None:
    """The time of commands that send nothing, and what they must not import."""
    print("\nStart-up, the best of several")
    with _book(10) as (root, _):
        for command in (["--help"], ["budget"], ["outline", "check"]):
            best = min(_timed(root, command) for _ in range(3 * size.repeats))
            print(f"  expand {' '.join(command):20}{best:6.2f} s")
            heavy = _imported(root, command) & {"openai", "pydantic", "tiktoken", "rich"}
            print(f"  {'':27}imports of {', '.join(sorted(heavy)) or 'nothing heavy'}")


def _timed(root: Path, command: list[str]) -> float:
    started = time.perf_counter()
    _command(root, *command)
    return time.perf_counter() - started


def _command(root: Path, *command: str) -> None:
    subprocess.run(
        [sys.executable, "-m", "expand", *command],
        cwd=root,
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def _imported(root: Path, command: list[str]) -> set[str]:
    """The top-level modules that a command imports."""
    ran = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "expand", *command],
        cwd=root,
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    names = (line.rpartition("|")[2].strip() for line in ran.stderr.splitlines())
    return {name.partition(".")[0] for name in names}


TABLES: dict[str, Callable[[Size], None]] = {
    "latency": latency,
    "throughput": throughput,
    "growth": growth,
    "start-up": start_up,
}


def main() -> None:
    """Runs the tables that the command line names, all of them by default."""
    parser = argparse.ArgumentParser(prog="benchmarks.speed", description=__doc__)
    parser.add_argument("tables", nargs="*", choices=[*TABLES, []], metavar="TABLE")
    parser.add_argument("--quick", action="store_true", help="smaller runs")
    given = parser.parse_args()
    for name in given.tables or TABLES:
        TABLES[name](QUICK if given.quick else FULL)


if __name__ == "__main__":
    main()
