"""What each section buys while a run goes on, and what is told of its attempts."""

from __future__ import annotations

from collections.abc import Callable

from expand.client.outcome import Event as PurchaseEvent
from expand.drafting.events import AttemptChanged, Event, Notice
from expand.drafting.section_run import Tally


class UsageCounters:
    """The tallies of a run's sections, kept from the purchase's events; those are passed on."""

    def __init__(self, on_event: Callable[[Event], None]) -> None:
        self._on_event = on_event
        self._tallies: dict[tuple[str, int], Tally] = {}

    def of(self, chapter: str, section: int) -> Tally:
        """A section's tally, which goes on being kept."""
        return self._tallies.setdefault((chapter, section), Tally())

    def take(self, chapter: str, section: int) -> Tally:
        """A section's tally, which is closed."""
        return self._tallies.pop((chapter, section), Tally())

    def note(self, event: PurchaseEvent) -> None:
        """Takes in what became of an attempt."""
        address = event.order.address
        if event.kind == "text":
            return
        if event.kind == "sent":
            self.of(address.chapter, address.section).attempts += 1
        if event.kind != "waiting":
            self._on_event(
                AttemptChanged(
                    chapter=address.chapter,
                    section=address.section,
                    purpose=address.purpose,
                    attempt_id=event.attempt_id,
                    model=event.order.request.model,
                    state=event.kind,
                    reserved_tokens=event.order.amount.tokens,
                    usage=event.usage,
                    message=event.message,
                )
            )
        if event.message and not event.final:
            wait = f" (waiting {event.seconds:.0f} s)" if event.seconds >= 1 else ""
            self._on_event(Notice(message=f"{address.chapter}/{address.section}: {event.message}{wait}"))
