"""Batches in the ledger: steps that are repeated, out of turn, or about what it does not know."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from buying import RESERVED, answer, begin, failed, order
from ledgers import Site

from expand.errors import LedgerError
from expand.ledger import Ledger, Order, Refused, Reservation, Run, State, verify
from expand.ledger.batches import Batches, BatchRow, Stage
from expand.llm.batch_api import BatchLine
from expand.llm.types import Failure


@pytest.fixture
def ledger(site: Site) -> Iterator[Ledger]:
    opened = Ledger.open(site.place)
    yield opened
    opened.close()
    assert verify(site.place).findings == ()


def opened(ledger: Ledger, run: Run, *texts: str) -> BatchRow:
    """A batch with a reservation for each text."""
    orders = [order(run, text) for text in texts]
    batch, verdicts = Batches(ledger).prepare(run, orders, model="m", base_url="", terms={})
    assert [asked for asked, verdict in verdicts if isinstance(verdict, Reservation)] == orders
    return batch


def test_only_what_is_in_flight_is_settled(ledger: Ledger) -> None:
    run, batches = begin(ledger), Batches(ledger)
    one = order(run, "one").request.key
    batch = batches.move(opened(ledger, run, "one"), Stage.CREATING, input_file="file-1")
    assert batches.settle(batch, [BatchLine("nobody's", answer())], lambda _: None) == 0
    assert ledger.balance("book").reserved_tokens == RESERVED
    assert batches.settle(batch, [BatchLine(one, answer("kept"))], lambda _: None) == 1
    assert batches.settle(batch, [BatchLine(one, answer("again"))], lambda _: None) == 0
    stored = ledger.known(order(run, "one"))
    assert stored is not None
    assert stored.answer.text == "kept"


def test_a_batch_that_is_withdrawn_releases_all_that_was_not_sent(ledger: Ledger) -> None:
    run, batches = begin(ledger), Batches(ledger)
    batch = opened(ledger, run, "one", "two", "three", "four")
    ended = batches.end(batch, Stage.WITHDRAWN, rest=failed(Failure.CANCELLED), unbilled=False)
    assert (ended.stage, ended.unbilled) == (Stage.WITHDRAWN, 4)
    assert ledger.balance("book").reserved_tokens == 0
    assert {row.state for row in ledger.attempts()} == {State.RELEASED}


def test_a_step_out_of_turn_names_where_the_batch_is(ledger: Ledger) -> None:
    run, batches = begin(ledger), Batches(ledger)
    batch = opened(ledger, run, "one")
    assert batch.requests == 1
    assert batches.move(batch, Stage.CREATING, input_file="file-1").stage is Stage.CREATING
    with pytest.raises(LedgerError, match="is creating, not prepared; another process went on with it"):
        batches.move(batch, Stage.CREATING, input_file="file-1")
    with pytest.raises(LedgerError, match="batch-none: not in this ledger; check its id"):
        batches.get("batch-none")
    # Who read it before the other process went on must not give back what the provider may be working on by now.
    with pytest.raises(LedgerError, match="is creating, not prepared; another process went on with it"):
        batches.end(batch, Stage.WITHDRAWN, rest=failed(Failure.CANCELLED), unbilled=True)
    assert len(batches.in_flight(batch)) == 1
    batches.end(batches.get(batch.id), Stage.WITHDRAWN, rest=failed(Failure.CANCELLED), unbilled=True)
    assert len(batches.in_flight(batch)) == 0


def test_a_batch_that_another_process_gave_up_takes_nothing_more(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, batches = begin(ledger), Batches(ledger)

    class GivenUp(list[Order]):
        """Orders whose batch is withdrawn before the second part of them is reserved."""

        def __getitem__(self, part: Any) -> Any:
            for batch in batches.all() if part.start else ():
                assert (batch.requests, len(batches.in_flight(batch))) == (1, 1)
                batches.end(batch, Stage.WITHDRAWN, rest=failed(Failure.CANCELLED), unbilled=True)
            return list(self)[part]

    monkeypatch.setattr("expand.ledger.batches.AT_ONCE", 1)
    with pytest.raises(LedgerError, match="is withdrawn, not prepared; another process went on with it"):
        batches.prepare(run, GivenUp([order(run, "one"), order(run, "two")]), model="m", base_url="", terms={})
    assert [row.state for row in ledger.attempts()] == [State.RELEASED]
    assert ledger.balance("book").reserved_tokens == 0


def test_what_a_batch_holds_is_not_waited_for_and_what_calls_hold_is(ledger: Ledger) -> None:
    run = begin(ledger, 3 * RESERVED)
    batch = opened(ledger, run, "in a batch")
    assert isinstance(ledger.reserve(order(run, "live")), Reservation)
    large = ledger.reserve(order(run, "large", prompt=2 * RESERVED - 80))
    assert isinstance(large, Refused)
    assert large.waitable, "the live call may give back enough"
    larger = ledger.reserve(order(run, "larger", prompt=3 * RESERVED - 80))
    assert isinstance(larger, Refused)
    assert not larger.waitable
    assert larger.message.endswith("; batches that are not collected yet hold the rest")
    Batches(ledger).end(batch, Stage.WITHDRAWN, rest=failed(Failure.CANCELLED), unbilled=True)
