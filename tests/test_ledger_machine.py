"""Any interleaving of what can happen to a ledger keeps its invariants, by hypothesis.

The machine makes the very calls that the client and the batch back end make.
"""

from __future__ import annotations

import secrets
from pathlib import Path

import pytest
from buying import CAP, PROMPT, RESERVED, Clock, answer, failed, order, recovered
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from ledgers import FileSite, ServerSite, Site

from expand.budget import Amount, Limit
from expand.ledger import (
    InFlight,
    Ledger,
    Paused,
    Refused,
    Reservation,
    Run,
    State,
    StoredAnswer,
    reconcile,
    verify,
)
from expand.ledger.batches import Batches, BatchRow, Stage
from expand.ledger.values import Verdict
from expand.llm.batch_api import BatchLine
from expand.llm.types import Failure, Finish

REQUESTS = st.integers(min_value=0, max_value=5).map(str)
CHAPTERS = st.sampled_from(["03", "04"])
PICO = 1000


class LedgerMachine(RuleBasedStateMachine):
    """Drives a ledger and a plain model of it side by side.

    An attempt is drawn by when it was made: its id differs each time, and hypothesis could not do
    the same again.
    """

    def new_site(self) -> Site:
        raise NotImplementedError

    def __init__(self) -> None:
        super().__init__()
        self.site = self.new_site()
        self.clock = Clock()
        self.limit = 0
        self.opening = 0
        self.sent: dict[str, str] = {}
        self.batch: BatchRow | None = None
        self.batched: dict[str, str] = {}
        """What is in flight in the batch: reserved until it is submitted, and sent from then on."""
        self.unknown: dict[str, int] = {}
        self.lost: dict[str, str] = {}
        """Unknown outcomes of live calls, whose answers may come late. A batch is never settled after its end."""
        self.settled: dict[str, str] = {}
        self.arrived = 0
        self.used = 0
        self.ledger: Ledger
        self.run: Run

    def teardown(self) -> None:
        if self.batch is not None:
            self.end_the_batch()
        self.ledger.close()
        assert verify(self.site.place).findings == ()
        after = Ledger.read(self.site.place)
        assert after is not None
        assert after.balance("book").reserved_tokens == 0
        after.close()
        self.site.clear()

    @initialize(limit=st.integers(0, 1000), opening=st.integers(0, 200))
    def begin(self, limit: int, opening: int) -> None:
        self.limit, self.opening = limit, opening
        self._open()

    def _open(self) -> None:
        self.ledger = Ledger.open(self.site.place, clock=self.clock)
        self.run = self.ledger.begin_run(limits={"book": Limit(tokens=self.limit)}, opening=Amount(self.opening))
        self.batches = Batches(self.ledger)

    @property
    def remaining(self) -> int:
        held = RESERVED * (len(self.sent) + len(self.batched))
        return self.limit - self.opening - self.used - sum(self.unknown.values()) - held

    # --- live calls ---------------------------------------------------------------------------

    @rule(text=REQUESTS, chapter=CHAPTERS)
    def reserve(self, text: str, chapter: str) -> None:
        verdict = self.ledger.reserve(order(self.run, text, chapter=chapter, pico=PICO))
        attempt = self._checked(verdict, text)
        if attempt is not None:
            self.sent[attempt] = text

    def _checked(self, verdict: Verdict, text: str) -> str | None:
        """The attempt that a reservation made, if the verdict is the right one."""
        in_flight = {**self.sent, **self.batched}
        match verdict:
            case Reservation(attempt_id=attempt):
                assert text not in self.settled
                assert text not in in_flight.values()
                assert self.remaining >= RESERVED
                return attempt
            case StoredAnswer() as stored:
                assert stored.answer.text == self.settled[text]
            case InFlight() as other:
                assert in_flight[other.attempt_id] == text
                assert other.in_batch == (other.attempt_id in self.batched)
            case Refused() as refused:
                assert self.remaining < RESERVED
                assert refused.waitable == (self.remaining + RESERVED * len(self.sent) >= RESERVED)
            case _:
                raise AssertionError(verdict)
        return None

    @precondition(lambda self: self.sent)
    @rule(
        data=st.data(),
        usage=st.booleans(),
        prompt=st.integers(0, PROMPT * 2),
        completion=st.integers(1, CAP * 2),
        finish=st.sampled_from([Finish.STOP, Finish.CUT]),
    )
    def settle(self, data: st.DataObject, usage: bool, prompt: int, completion: int, finish: Finish) -> None:
        attempt = data.draw(st.sampled_from([*self.sent]))
        text = self.sent.pop(attempt)
        done = answer(f"answer to {text}", prompt=prompt, completion=completion, usage=usage, finish=finish)
        stored = self.ledger.settle(attempt, done, cost_pico_usd=prompt + completion)
        if text not in self.settled:  # else a late answer was handed out already, and stays
            assert (stored.answer.text, stored.answer.finish) == (done.text, finish)
        assert stored.answer.text == self.settled.setdefault(text, done.text)
        self.arrived += 1
        self.used += prompt + completion if usage else RESERVED

    @precondition(lambda self: self.sent)
    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        attempt = data.draw(st.sampled_from([*self.sent]))
        self.ledger.fail(attempt, failed(Failure.RATE_LIMITED), unbilled=True)
        del self.sent[attempt]

    @precondition(lambda self: self.sent)
    @rule(data=st.data())
    def lose(self, data: st.DataObject) -> None:
        attempt = data.draw(st.sampled_from([*self.sent]))
        self.ledger.fail(attempt, failed(Failure.TIMEOUT), unbilled=False)
        self.lost[attempt] = self.sent.pop(attempt)
        self.unknown[attempt] = RESERVED

    @precondition(lambda self: self.lost)
    @rule(data=st.data())
    def settle_late(self, data: st.DataObject) -> None:
        attempt = data.draw(st.sampled_from([*self.lost]))
        text = self.lost.pop(attempt)
        stored = self.ledger.settle(attempt, answer(f"late to {text}"), cost_pico_usd=45)
        assert stored.answer.text == self.settled.setdefault(text, f"late to {text}")
        del self.unknown[attempt]
        self.used += 45
        self.arrived += 1

    @precondition(lambda self: self.unknown)
    @rule(data=st.data(), tokens=st.integers(0, RESERVED))
    def reconcile(self, data: st.DataObject, tokens: int) -> None:
        attempt = data.draw(st.sampled_from([*self.unknown]))
        reconcile(self.ledger, attempt, tokens=tokens)
        del self.unknown[attempt]
        self.lost.pop(attempt, None)
        self.used += tokens

    # --- a batch ------------------------------------------------------------------------------

    @precondition(lambda self: self.batch is None)
    @rule(texts=st.lists(REQUESTS, min_size=1, max_size=4, unique=True), chapter=CHAPTERS)
    def fill_a_batch(self, texts: list[str], chapter: str) -> None:
        orders = [order(self.run, text, chapter=chapter, pico=PICO) for text in texts]
        self.batch, verdicts = self.batches.prepare(self.run, orders, model="m", base_url="", terms={})
        for text, (_, verdict) in zip(texts, verdicts, strict=True):
            attempt = self._checked(verdict, text)
            if attempt is not None:
                self.batched[attempt] = text

    @precondition(lambda self: self.batch is not None and self.batch.stage is Stage.PREPARED)
    @rule()
    def submit_the_batch(self) -> None:
        self.batches.left_behind(self.run)  # of this process, or of one that is gone
        assert self.batch is not None
        batch = self.batches.move(self.batch, Stage.CREATING, input_file="file-1")
        self.batch = self.batches.move(batch, Stage.SUBMITTED, remote="batch_1", remote_status="validating")

    @precondition(lambda self: self.batched and self.batch.stage is Stage.SUBMITTED)
    @rule(data=st.data(), billed=st.sampled_from(["answer", "no", "unknown"]))
    def settle_of_the_batch(self, data: st.DataObject, billed: str) -> None:
        attempt = data.draw(st.sampled_from([*self.batched]))
        text = self.batched.pop(attempt)
        key = order(self.run, text, pico=PICO).request.key
        assert self.batch is not None
        if billed == "answer":
            result = BatchLine(key, answer(f"batched {text}"))
            self.settled[text] = f"batched {text}"
            self.arrived += 1
            self.used += 45
        else:
            unknown = billed == "unknown"
            kind = Failure.GARBLED if unknown else Failure.SERVER_ERROR
            result = BatchLine(key, failed(kind))
            assert result.billed is (None if unknown else False)
            if unknown:
                self.unknown[attempt] = RESERVED
        assert self.batches.settle(self.batch, [result, result], lambda _: 45) == 1

    @precondition(lambda self: self.batch is not None)
    @rule()
    def end_the_batch(self) -> None:
        assert self.batch is not None
        submitted = self.batch.stage is Stage.SUBMITTED
        stage = Stage.COLLECTED if submitted else Stage.WITHDRAWN
        self.batches.end(self.batch, stage, rest=failed(Failure.CRASHED), unbilled=False)
        if submitted:
            self.unknown |= dict.fromkeys(self.batched, RESERVED)
        self.batched.clear()
        self.batch = None

    # --- processes ----------------------------------------------------------------------------

    @rule()
    def crash(self) -> None:
        released = len(self.ledger.attempts(state=State.RELEASED))
        self.site.die(self.ledger)
        self._open()
        recovered_by_the_run = {row.id for row in self.ledger.attempts(state=State.UNKNOWN)} - set(self.unknown)
        assert recovered_by_the_run == set(self.sent), "every live call, and nothing of the batch"
        assert len(self.ledger.attempts(state=State.RELEASED)) == released
        assert recovered(self.ledger) == (0, 0), "there is no more"
        self._gone()

    @rule()
    def reopen(self) -> None:
        self.ledger.close()
        self._open()
        self._gone()

    def _gone(self) -> None:
        self.unknown |= dict.fromkeys(self.sent, RESERVED)
        self.lost |= self.sent
        self.sent.clear()

    @rule(limit=st.integers(0, 1000), opening=st.integers(0, 200))
    def change_the_limit(self, limit: int, opening: int) -> None:
        self.limit, self.opening = limit, opening
        self.run = self.ledger.begin_run(limits={"book": Limit(tokens=limit)}, opening=Amount(opening))

    @rule(seconds=st.integers(1, 30))
    def pause(self, seconds: int) -> None:
        self.ledger.pause("m", seconds)
        verdict = self.ledger.reserve(order(self.run, "paused"))
        assert isinstance(verdict, Paused | Refused)
        self.clock.forward(seconds)

    # --- what holds after each of them --------------------------------------------------------

    @invariant()
    def the_book_balances(self) -> None:
        if not hasattr(self, "ledger"):
            return
        book = self.ledger.balance("book")
        assert book.remaining_tokens == self.remaining
        assert book.used_tokens == self.opening + self.used + sum(self.unknown.values())
        assert book.unknown_tokens == sum(self.unknown.values())
        assert book.reserved_tokens == RESERVED * (len(self.sent) + len(self.batched))
        assert book.used_tokens + book.reserved_tokens + self.remaining == self.limit

    @invariant()
    def chapters_and_models_add_up_to_the_book(self) -> None:
        if not hasattr(self, "ledger"):
            return
        book = self.ledger.balance("book")
        overview = self.ledger.overview()
        tokens = book.used_tokens - self.opening
        assert sum(piece.tokens for piece in overview.slices) == tokens
        assert sum(day.tokens for day in overview.days) == tokens
        held = sum(each.tokens for each in overview.open)
        assert held == book.reserved_tokens + book.unknown_tokens

    @invariant()
    def states_are_as_they_should_be(self) -> None:
        if not hasattr(self, "ledger"):
            return
        by_state = {state: {row.id for row in self.ledger.attempts(state=state)} for state in State}
        submitted = self.batch is not None and self.batch.stage is Stage.SUBMITTED
        assert by_state[State.RESERVED] == (set() if submitted else set(self.batched))
        assert by_state[State.SENT] == {*self.sent, *(self.batched if submitted else ())}
        assert by_state[State.UNKNOWN] == set(self.unknown)
        assert len(by_state[State.SETTLED]) == self.arrived


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_any_interleaving(database: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    if database == "postgresql":
        address: str = request.getfixturevalue("server_address")

    class Machine(LedgerMachine):
        def new_site(self) -> Site:
            if database == "postgresql":
                return ServerSite(address)
            return FileSite(tmp_path / secrets.token_hex(4))

    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=15 if database == "sqlite" else 8,
            stateful_step_count=25,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
