"""The muster: how many processes a run is worth, and the fork that makes them.

They are forked, so that modules and the tokenizer's ranks are loaded once and shared. That is safe
only before there is a thread, an event loop, a ledger or a client in this process.
"""

from __future__ import annotations

import gc
import os
import signal
import socket
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path

from expand.crew.member import Duty, serve
from expand.crew.pile import Pile
from expand.drafting.session import Reading

LEAST_SECTIONS = 200
"""A run over fewer is over before a second process would have helped."""
LEAST_WIDTH = 4
"""A process that works on fewer sections side by side waits more than it works."""
MOST_MEMBERS = 8
"""Each takes memory, and they take turns at the ledger."""
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@dataclass(frozen=True, kw_only=True, slots=True)
class Hand:
    """A member as the captain has it: its process, and this end of the wire to it."""

    process: BaseProcess
    end: socket.socket


@dataclass(frozen=True, kw_only=True, slots=True)
class Crew:
    """Those who were mustered, and the pile that they take from."""

    hands: tuple[Hand, ...]
    pile: Pile


def members_for(reading: Reading, *, processors: int) -> int:
    """How many processes to make a run of, 1 for this one alone.

    A stated number holds for every run over several chapters; without one, only large runs are
    shared. Sections that are named are few, and the local model has one process anyway.
    """
    settings = reading.settings
    if settings.embedded or reading.commission.sections is not None:
        return 1
    most = min(len(reading.outlines), reading.workers)
    if settings.processes is not None:
        return max(1, min(settings.processes, most))
    sections = sum(len(outline.sections) for outline in reading.outlines.values())
    if sections < LEAST_SECTIONS:
        return 1
    return max(1, min(processors, MOST_MEMBERS, most, reading.workers // LEAST_WIDTH))


def processors() -> int:
    """How many processors this process may use, 0 where it cannot fork safely."""
    if sys.platform != "linux" or len(list(Path("/proc/self/task").iterdir())) > 1:
        return 0
    return len(os.sched_getaffinity(0))


def widths(workers: int, members: int) -> tuple[int, ...]:
    """How many sections each member works on side by side: ``workers`` in all."""
    return tuple(workers // members + (n < workers % members) for n in range(members))


@contextmanager
def mustered(reading: Reading, members: int, *, unpriced: bool) -> Iterator[Crew]:
    """So many members, waiting for the captain's word. They are gone when the block ends: hung up
    on, they let arrive what is in flight; an interrupt meanwhile ends them at once.
    """
    _load(reading)
    pairs = [socket.socketpair() for _ in range(members)]
    pile = Pile(members)
    duties = [
        Duty(number=number, members=members, width=width, unpriced=unpriced)
        for number, width in enumerate(widths(reading.workers, members))
    ]
    gc.collect()
    gc.freeze()  # what is there already is not touched by collections, and so stays shared
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    try:
        processes = [_forked(duty, reading, pile, pairs) for duty in duties]
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        gc.unfreeze()
    for _, theirs in pairs:
        theirs.close()
    hands = [Hand(process=p, end=ours) for p, (ours, _) in zip(processes, pairs, strict=True)]
    try:
        yield Crew(hands=tuple(hands), pile=pile)
    finally:
        for hand in hands:
            hand.end.close()
        pile.close()
        _dismiss(processes)


def _forked(
    duty: Duty, reading: Reading, pile: Pile, pairs: Sequence[tuple[socket.socket, socket.socket]]
) -> BaseProcess:
    import multiprocessing  # start-up time

    def life() -> None:
        for number, (ours, theirs) in enumerate(pairs):
            ours.close()  # else nobody would notice that the captain is gone
            if number != duty.number:
                theirs.close()
        serve(duty, reading, pile, pairs[duty.number][1])

    name = f"expand-{duty.number + 1}"
    process = multiprocessing.get_context("fork").Process(target=life, name=name)
    process.start()
    return process


def _dismiss(processes: Sequence[BaseProcess]) -> None:
    try:
        for process in processes:
            process.join()
    except BaseException:
        for process in processes:
            process.kill()
            process.join()
        raise


def _load(reading: Reading) -> None:
    """Loads what every member needs."""
    import expand.model.author  # noqa: F401 - the SDK, half a second
    from expand.drafting.authorship import means_for
    from expand.text.block_tokens import parsed

    means = means_for(reading.workspace, reading.settings, ledger=None)
    means.counter.count("")
    parsed("")
