"""The budgeted client: from an order to an answer that is paid for, stored, and never bought twice.

Every attempt takes the same steps: look for the answer → reserve and mark as sent → send → settle → hand out. Each step
is durable before the next one begins, so a kill between any two leaves either nothing spent, or a reservation that the
next start finds and keeps charged. A step is one transaction, called directly: a commit takes half a millisecond where
the answer took seconds.

* An answer that arrives is settled even if whoever asked for it has been cancelled: each attempt is a task of its own.
* Text that arrived of an attempt that broke off is an answer that was cut. It is settled like any other, and the caller
  asks for the rest.
* An order that has to wait (for a place, the budget, a pause) waits in the ``limiter``; one that failed, as the
  ``retry_policy`` says.
"""

import asyncio
import contextlib
import shlex
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from expand.client.limiter import Canary, CircuitBreaker, Limiter
from expand.client.retry_policy import DEFAULT_POLICY, RULES, RetryPolicy, RetryState, is_lost
from expand.errors import AuthorError, BudgetExceededError, ExpandError, LedgerError
from expand.ledger import (
    AttemptEvent,
    InFlight,
    Ledger,
    LedgerBusyError,
    Order,
    Paused,
    Refused,
    Reservation,
    StoredAnswer,
)
from expand.llm.failures import until
from expand.llm.types import Answer, AttemptFailedError, Author, Failure, Finish


class StoppedError(ExpandError):
    """The run was stopped before this order was bought."""

    exit_code = 130


class RefusedError(BudgetExceededError):
    """A limit refused an order for good. ``shortfall`` holds the figures, None where it is not a figure that is missing
    but a price."""

    def __init__(self, refused: Refused) -> None:
        remedy = "; raise the limit, or ask for less" if refused.shortfall is not None else ""
        super().__init__(refused.message + remedy)
        self.shortfall = refused.shortfall


class HeldError(AuthorError):
    """The request is in a batch, which takes up to a day."""


PILOT_SECONDS = 0.2
"""How long the first attempt is ahead of the others: a wrong key is refused sooner than that."""

REPLACEABLE_PILOT_SECONDS = 5.0
"""The same where another model stands in: a server in trouble answers more slowly, and each attempt is charged."""

TEXT_SECONDS = 0.2
"""How long an answer that is arriving shows no further text: a fast model sends hundreds of pieces a second."""

POLL_SECONDS = 0.5
"""How often to look for what another process may have changed."""

PAUSE_SECONDS = 5.0
"""How often to look whether a pause has been lifted meanwhile."""

SETTLE_TRIES = 60
"""How often, a second apart, to try to store an answer while the disk is full or the ledger locked."""

SETTLE_SECONDS = 60.0
"""How long to try at most: a server that is gone takes half a minute to fail once."""

Outcome = StoredAnswer | AttemptFailedError
"""How an attempt ended."""


@dataclass(kw_only=True, slots=True)
class ModelState:
    """What a run has learnt of one model. ``given_up`` is why it is asked no more."""

    canary: Canary
    breaker: CircuitBreaker = field(default_factory=CircuitBreaker)
    prepared: bool = False
    given_up: AuthorError | None = None


class BudgetedClient:
    """Buys answers for one run. All orders of a run go through one client."""

    def __init__(
        self,
        *,
        ledger: Ledger,
        author: Author,
        retry: RetryPolicy = DEFAULT_POLICY,
        on_event: Callable[[AttemptEvent], None] = lambda _: None,
        pilot_seconds: float = PILOT_SECONDS,
        prepare: Callable[[str], Awaitable[None]] | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """The first attempt at a model is ``pilot_seconds`` ahead of the others. ``prepare`` makes a model ready,
        before anything is reserved."""
        self._ledger = ledger
        self._author = author
        self._retry = retry
        self._on_event = on_event
        self._prepare = prepare
        self._sleep = sleep
        self._pilot_seconds = pilot_seconds
        self._models: dict[str, ModelState] = {}
        self._limiter = Limiter()
        self._in_flight: set[asyncio.Task[Outcome]] = set()
        self._storing: set[asyncio.Task[Outcome] | None] = set()
        """Those of them whose answer is there and is being stored."""
        self._unsettled: dict[str, Path | None] = {}
        """Answers that the ledger did not take, by attempt and length, and the files that hold them; None where no file
        took one either."""
        self._unsettled_by = ""
        self._stopped = asyncio.Event()
        self._abandoned = asyncio.Event()

    async def buy(self, order: Order) -> StoredAnswer:
        """The answer to the order's request, from the ledger or else from the author.

        Raises ``BudgetExceededError`` when a limit refuses it for good, ``AuthorError`` when the author does or the
        tries are spent, ``StoppedError`` after ``stop``, ``LedgerError``."""
        # Looked up before the order waits for anything: a second run over a finished chapter must not wait behind the
        # canary, or for a pause, for what it has already.
        stored = self._ledger.known(order)
        if stored is not None:
            return stored
        tries = RetryState(self._retry, order.request.model)
        # After the look at the ledger, so that an order whose answer is there never leads: it would prove nothing about
        # the key.
        model = self._model(order.request.model)
        leads = await model.canary.enter()
        try:
            # Behind the canary, so that it happens once, and before anything is reserved: a local model that cannot be
            # loaded costs nothing.
            if self._prepare is not None and not model.prepared and model.given_up is None:
                try:
                    await self._prepare(order.request.model)
                except AuthorError as error:
                    model.given_up = error
                    raise
                model.prepared = True
            while True:
                if tries.lost and not tries.probing:
                    tries.probing = await model.breaker.enter()
                # A retry goes before what was never sent. Otherwise one section would stay open, and its draft
                # unwritten, until all others have been begun.
                place = await self._place(order, rank=0 if tries.sent else order.rank)
                if isinstance(place, StoredAnswer):
                    return place._replace(attempts=tries.sent)
                outcome = await self._attempt(order, place, tries)
                if isinstance(outcome, StoredAnswer):
                    return outcome._replace(reused=False, attempts=tries.sent)
                # Looked at after each failure as well as before each reservation: a stop that comes while the attempt
                # is out must not lead to another one.
                if self._stopped.is_set() or not tries.goes_on(outcome):
                    raise self._given_up(order, outcome, tries) from outcome
                await self._wait(tries.wait_seconds(outcome, lost=model.breaker.lost), self._stopped)
        finally:
            if tries.probing:
                model.breaker.leave()
            if leads:
                model.canary.leave()

    def stop(self) -> None:
        """Begin no further attempt; what is in flight arrives and is settled. Called again, what is in flight is
        abandoned: what has arrived of it is stored, and the rest left unknown."""
        if self._stopped.is_set():
            self._abandoned.set()
            # An attempt whose answer has arrived is left to be stored: cancelling it would throw away a text that is
            # paid for.
            for task in self._in_flight - self._storing:
                task.cancel()
        self._stopped.set()
        for model in self._models.values():
            model.canary.passes()  # whoever waits for it is told that the run has stopped
        self._limiter.wake()

    async def drain(self) -> None:
        """Wait until nothing is in flight, even after whoever ordered it has gone away. Call it before the ledger is
        closed. Raises ``LedgerError`` if answers could not be stored, and says how many and where they are."""
        # A loop, since an attempt that ends may let another one begin. Closing the ledger under a task would turn its
        # answer into an unknown outcome.
        while self._in_flight:
            await asyncio.wait(self._in_flight)
        self._raise_unsettled()

    # --- a place in the budget --------------------------------------------------------------------

    async def _place(self, order: Order, *, rank: int) -> Reservation | StoredAnswer:
        """A reservation, marked as sent and counted as out, or an answer. A smaller ``rank`` goes before a greater one:
        what was begun goes on before anything else is."""
        model, told = order.request.model, ""
        state = self._model(model)
        while True:
            with self._limiter.queue(model, rank) as place:
                while True:
                    changed = await self._limiter.turn(model, place)
                    self._check(model)
                    # Only the head of a model's queue asks. If all who wait asked, each settlement would wake thousands
                    # for one place, and a large order would never fit, since small ones would take what comes free.
                    match self._ledger.reserve(order):
                        case Reservation() | StoredAnswer() as found:
                            return found
                        case InFlight(in_batch=True) as other:
                            # A batch takes up to a day, and this run may be what its user does meanwhile. Do not wait
                            # for it.
                            raise HeldError(
                                f"chapter {order.address.chapter} section {order.address.section}: it is asked in "
                                f"{other.owner}; take its answers with `expand chapter --batch collect` once it ends"
                            )
                        case InFlight():
                            break  # wait outside the queue: others need not wait for this one
                        case Paused(seconds=seconds, reason=reason, by_provider=by_provider):
                            if by_provider and seconds > self._retry.longest_wait_seconds:
                                state.given_up = state.given_up or AuthorError(
                                    f"{reason} {until(seconds)}; run again then, lift it with `expand ledger resume "
                                    f"{shlex.quote(model)}`, or take another model"
                                )
                                state.canary.passes()
                                raise AuthorError(str(state.given_up))
                        case Refused(waitable=True):
                            # Polled, since what comes free may be another process's, and no event of this loop tells of
                            # it.
                            seconds, reason = POLL_SECONDS, "waiting for calls in flight, which hold what is left"
                        case refused:
                            raise RefusedError(refused)
                    told = await self._linger(order, seconds, reason, changed, told)
            # An order that waits for another process's answer may wait for minutes. As the leader it would hold up the
            # whole run.
            state.canary.passes()  # nobody waits behind an order that only waits itself
            reason = "the same request is in flight already"
            told = await self._linger(order, POLL_SECONDS, reason, self._stopped, told)

    def _model(self, name: str) -> ModelState:
        passed = not self._pilot_seconds or self._stopped.is_set()
        return self._models.setdefault(name, ModelState(canary=Canary(passed=passed)))

    def _check(self, model: str) -> None:
        """Raise what keeps anything more from being bought from the model."""
        if (reason := self._model(model).given_up) is not None:
            raise AuthorError(str(reason))
        self._raise_unsettled()
        if self._stopped.is_set():
            raise StoppedError("stopped before it was sent")

    async def _linger(self, order: Order, seconds: float, reason: str, until: asyncio.Event, told: str) -> str:
        """Say why, unless that was ``told`` last; wait, and recover what the dead have left. Returns the reason."""
        if reason != told:
            self._on_event(AttemptEvent("waiting", order, message=reason, seconds=seconds))
        # A random part, since every process that was told of a pause would otherwise come back in the same instant, and
        # be refused again. In steps, since somebody may lift the pause.
        await self._wait(min(seconds + self._retry.jitter() * 0.25, PAUSE_SECONDS), until)
        self._ledger.recover()
        return reason

    async def _wait(self, seconds: float, until: asyncio.Event) -> None:
        """Sleep, but not beyond ``until``. It is no ``wait_for``, since ``sleep`` keeps the time."""
        if seconds <= 0 or until.is_set():
            return
        # `asyncio.timeout` would wait by the loop's clock. Tests give a `sleep` of their own and go through hours of
        # pauses in milliseconds.
        waits = [asyncio.ensure_future(self._sleep(seconds)), asyncio.ensure_future(until.wait())]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in waits:
                each.cancel()

    # --- an attempt -------------------------------------------------------------------------------

    async def _attempt(self, order: Order, place: Reservation, tries: RetryState) -> Outcome:
        """Send the attempt, which is marked as sent; its outcome, in the ledger. Raises ``StoppedError`` when it was
        abandoned. A cancelled caller leaves the attempt to arrive."""
        tries.sent += 1
        canary = self._model(order.request.model).canary
        # A task of its own, shielded below: a caller that is cancelled must not take the attempt with it. The provider
        # goes on writing, and bills.
        task = asyncio.create_task(self._send(order, place, tries))
        self._in_flight.add(task)
        task.add_done_callback(self._landed)
        if not canary.passed:
            # The lead is short. A wrong key is refused at once, so waiting for the first whole answer would show no
            # more, and leave all other places empty for as long as that takes.
            replaceable = order.request.model in self._retry.replaceable
            ahead = REPLACEABLE_PILOT_SECONDS if replaceable else self._pilot_seconds
            timer = asyncio.get_running_loop().call_later(ahead, canary.passes)
            task.add_done_callback(lambda _: timer.cancel())
        try:
            outcome = await asyncio.shield(task)
        except asyncio.CancelledError:
            if self._abandoned.is_set() and task.done():
                raise StoppedError(f"stopped; the outcome of attempt {place.attempt_id} is unknown") from None
            raise
        if isinstance(outcome, StoredAnswer):
            self._model(order.request.model).breaker.answer()
            canary.passes()
        else:
            self._learn(order, outcome, tries)
        return outcome

    def _landed(self, task: asyncio.Task[Outcome]) -> None:
        self._in_flight.discard(task)
        self._storing.discard(task)
        if not task.cancelled():
            task.exception()  # whoever waits for it gets it; if nobody does, the ledger has it
        self._limiter.wake()

    async def _send(self, order: Order, place: Reservation, tries: RetryState) -> Outcome:
        """Send and settle. The ledger knows the outcome whatever it is, cancellation too."""
        attempt_id = place.attempt_id
        pieces: list[str] = []
        shown_at = 0.0

        def on_text(piece: str) -> None:
            nonlocal shown_at
            pieces.append(piece)
            now = time.monotonic()
            # Joined only when it is shown. Joining at each piece takes time that grows with the square of the answer's
            # length.
            if now - shown_at >= TEXT_SECONDS:
                shown_at = now
                self._model(order.request.model).canary.passes()
                self._on_event(AttemptEvent("text", order, attempt_id, text="".join(pieces)))

        self._on_event(AttemptEvent("sent", order, attempt_id))
        try:
            answer = await self._author.complete(
                order.request, client_request_id=order.address.header(attempt_id), on_text=on_text
            )
        # Everything, Ctrl-C and defects in an author too. Whatever happens after sending, the ledger has to be told, or
        # the attempt stays in flight until this process has ended.
        except BaseException as error:
            cancelled = isinstance(error, asyncio.CancelledError)
            kind = Failure.CANCELLED if cancelled else Failure.CRASHED
            failed = next((each for each in (error, error.__cause__) if isinstance(each, AttemptFailedError)), None)
            failed = failed or AttemptFailedError(kind, f"{type(error).__name__} while it was in flight")
            told = failed is error
            unbilled = told and RULES[failed.failure].billed == "no"
            seconds = tries.pause_seconds(failed) if told else 0.0
            if seconds:  # first of all: from now on nobody may call the model, in any process
                self._ledger.pause(order.request.model, seconds)
            # Text wins over the failure's rule, even over "not billed": a provider that sent text has worked, and will
            # charge for it. What the order still needs is asked for as a continuation.
            text = "".join(pieces)
            if not text.strip():
                self._ledger.fail(attempt_id, failed, unbilled=unbilled)
                if not told:
                    raise
                message = f"{failed.message}; {failed.mended}" if failed.mended else failed.message
                final = tries.ends_run(failed)
                self._on_event(AttemptEvent("failed", order, attempt_id, message, seconds, final=final))
                return failed
            cut = Answer(
                text=text,
                finish=Finish.CUT,
                usage=failed.usage,
                model=failed.model,
                provider_request_id=failed.provider_request_id,
            )
            stored = await self._settle(order, attempt_id, cut)
            if cancelled:
                raise StoppedError(f"stopped; what had arrived of attempt {attempt_id} is stored") from error
            if not told:
                raise
            return stored
        return await self._settle(order, attempt_id, answer)

    async def _settle(self, order: Order, attempt_id: str, answer: Answer) -> StoredAnswer:
        """Store the answer and charge it. While the disk is full or the ledger is locked, it is kept elsewhere and
        tried again; after a second stop it is stored at once, or stays there."""
        self._storing.add(asyncio.current_task())
        cost = None if answer.usage is None or order.cost is None else order.cost(answer.usage)
        path: Path | None = None
        deadline = time.monotonic() + SETTLE_SECONDS
        tries = 0
        while True:
            try:
                stored = self._ledger.settle(attempt_id, answer, cost_pico_usd=cost)
                break
            except Exception as error:
                # At once, not after the last try: a kill meanwhile would take the text along. What cannot be written
                # may be writable at the next try.
                if path is None:
                    with contextlib.suppress(LedgerError):
                        path = self._ledger.keep_elsewhere(order, attempt_id, answer, cost_pico_usd=cost)
                tries += 1
                # A ledger that is damaged or replaced fails any further try like this one; an answer that was given up
                # is proof enough that the others need not wait as long.
                over = not isinstance(error, LedgerBusyError) or self._unsettled or self._abandoned.is_set()
                if over or tries == SETTLE_TRIES or time.monotonic() > deadline:
                    raise self._not_settled(attempt_id, answer, path, error) from error
                if tries == 1:
                    where = "" if path is None else f", and is kept as {path}"
                    message = f"an answer waits to be stored{where}: {error}"
                    self._on_event(AttemptEvent("waiting", order, message=message, seconds=1.0))
            try:
                await self._wait(1.0, self._abandoned)
            except asyncio.CancelledError as error:
                raise self._not_settled(attempt_id, answer, path, error) from error
        if path is not None:
            path.unlink(missing_ok=True)
        self._on_event(AttemptEvent("settled", order, attempt_id, usage=stored.usage))
        return stored

    def _not_settled(self, attempt_id: str, answer: Answer, path: Path | None, error: BaseException) -> ExpandError:
        """Note an answer that the ledger did not take. After a second stop the error is that of all stopped orders."""
        self._unsettled[f"attempt {attempt_id} ({len(answer.text):,} characters)"] = path
        self._unsettled_by = self._unsettled_by or str(error)
        if self._abandoned.is_set():
            return StoppedError(f"stopped; the answer of attempt {attempt_id} cannot be stored: {error}")
        return self._storage_error()

    def _raise_unsettled(self) -> None:
        """Raise ``LedgerError`` if there are answers that the ledger has not taken in by now."""
        self._unsettled = {name: path for name, path in self._unsettled.items() if path is None or path.exists()}
        if self._unsettled:
            raise self._storage_error()

    def _storage_error(self) -> LedgerError:
        """Why answers could not be stored, and what became of them."""
        parts = [self._unsettled_by]
        if kept := [path for path in self._unsettled.values() if path is not None]:
            where = f"kept in {kept[0].parent}: {len(kept):,}"
            parts.append(f"answers that are paid for and {where}; the next run takes them in")
        if lost := [name for name, path in self._unsettled.items() if path is None]:
            parts.append(
                f"answers that are LOST, since no other place can be written either: {len(lost):,}; they stay charged: "
                f"{', '.join(lost)}"
            )
        return LedgerError("\n".join(parts))

    def _learn(self, order: Order, failed: AttemptFailedError, tries: RetryState) -> None:
        """Note what a failure means for the other orders of this run."""
        if failed.mended is not None:
            return  # nothing is known yet: the same request goes out again at once, put another way
        name, over = order.request.model, not tries.goes_on(failed)
        model, lost = self._model(name), is_lost(failed)
        # A failure that may be billed proves nothing before the first answer: the base URL may be wrong, or the server
        # broken for good. So the order that leads is tried alone, and gives the model up. Later it is one loss among
        # answers, unless nothing but losses follows, or another model stands in: each try is charged.
        if lost:
            model.breaker.loss(order.request.key, probe=tries.probing)
        replaceable = name in self._retry.replaceable
        trouble = lost or (replaceable and failed.failure is Failure.OVERLOADED)
        unproven = trouble and model.breaker.unproven
        ends = unproven or (lost and replaceable)
        if tries.ends_run(failed) or (over and ends) or model.breaker.open:
            model.given_up = model.given_up or AuthorError(tries.verdict(failed))
        # Any other failure proves that the author answers, so the rest may go. An unreachable one proves nothing: the
        # next order leads and tries again, alone.
        elif failed.failure is not Failure.UNREACHABLE and not unproven:
            model.canary.passes()

    def _given_up(self, order: Order, failed: AttemptFailedError, tries: RetryState) -> ExpandError:
        if self._stopped.is_set():
            return StoppedError(f"stopped after: {failed.message}")
        return AuthorError(str(self._model(order.request.model).given_up or tries.verdict(failed)))


def all_failed(failures: Sequence[tuple[str, ExpandError]]) -> AuthorError:
    """One error for several models that failed, each with its message; its own words where there is but one."""
    if len(failures) == 1:
        return AuthorError(str(failures[0][1]))
    return AuthorError("no model could write: " + "; ".join(f"{model}: {error}" for model, error in failures))
