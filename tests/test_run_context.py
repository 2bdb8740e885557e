"""What a run counts and shows of its sections while answers arrive."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from buying import begin, order
from buying import place as a_ledger

from expand.batch.batch_backend import NoAuthor
from expand.drafting.events import Event, Notice, SectionGrew
from expand.drafting.run_context import UsageCounters
from expand.ledger import AttemptEvent, Ledger, Order
from expand.llm.types import AttemptFailedError, Purpose


class Watched:
    """Counters, and what they showed."""

    def __init__(self, ledger: Ledger) -> None:
        self.events: list[Event] = []
        self.order: Order = order(begin(ledger, 1000))
        self.usage = UsageCounters(ledger, self.events.append)

    def streams(self, text: str, purpose: Purpose = "draft") -> None:
        asked = replace(self.order, address=self.order.address._replace(purpose=purpose))
        self.usage.note(AttemptEvent(kind="text", order=asked, attempt_id="a", text=text))

    @property
    def lines(self) -> list[int]:
        return [event.lines for event in self.events if isinstance(event, SectionGrew)]


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    with closing(Ledger.open(a_ledger(tmp_path))) as ledger:
        yield Watched(ledger)


def test_lines_are_shown_as_they_arrive(watched: Watched) -> None:
    watched.streams("one\ntwo\nthr")
    watched.streams("one\ntwo\nthree\nfour\nfive")
    assert watched.lines == [2, 4]
    (grew, _) = watched.events
    assert isinstance(grew, SectionGrew)
    assert grew.streaming
    assert grew.remaining_tokens == 1000


def test_lines_that_arrive_come_on_top_of_those_that_are_there(watched: Watched) -> None:
    address = watched.order.address
    watched.usage.of(address.chapter, address.section).lines = 30
    watched.streams("one\ntwo\n", "continue")
    assert watched.lines == [32]


def test_a_repair_shows_no_lines_for_it_takes_the_place_of_others(watched: Watched) -> None:
    watched.streams("one\ntwo\n", "repair")
    assert watched.events == []


@pytest.mark.parametrize("kind", ["sent", "settled", "failed"])
def test_what_arrived_is_forgotten_when_the_attempt_is_over(watched: Watched, kind: str) -> None:
    watched.streams("one\ntwo\n")
    watched.usage.note(AttemptEvent(kind=kind, order=watched.order, attempt_id="a"))  # type: ignore[arg-type]
    watched.streams("again\n")
    assert watched.lines == [2, 1]
    assert isinstance(watched.events[1], AttemptEvent)


def test_a_wait_is_told_with_its_seconds_from_one_on(watched: Watched) -> None:
    for seconds in (0.99, 1.0):
        watched.usage.note(AttemptEvent(kind="waiting", order=watched.order, seconds=seconds, message="busy"))
    assert [event.message for event in watched.events if isinstance(event, Notice)] == [
        "03/1: busy",
        "03/1: busy (waiting 1 s)",
    ]


async def test_the_author_of_a_run_that_must_not_send_refuses(watched: Watched) -> None:
    with pytest.raises(AttemptFailedError, match="nothing is sent live"):
        await NoAuthor().complete(watched.order.request, client_request_id="03/1/draft/a")
