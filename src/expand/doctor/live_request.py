"""Sends one small request through the ledger: the whole way to an answer, for a few tokens.

It is entered for the chapter ``doctor``, section 0, which no outline has.
"""

import asyncio
import time
from decimal import Decimal

from expand.budget import Amount, usd_from_pico
from expand.client.client import BudgetedClient, RetryPolicy
from expand.doctor.check_result import CheckResult, from_error, ok, warning
from expand.drafting.run_context import open_ledger
from expand.errors import ExpandError
from expand.ledger import Order, no_price
from expand.llm.pricing import Price
from expand.llm.profile import Profile
from expand.llm.tokens import TokenCounter, raised
from expand.llm.types import Address, Author, Message, Request
from expand.outline import Book
from expand.workspace import Workspace

CHAPTER = "doctor"
SECTION = 0
OUTPUT_TOKENS = 24
"""Room for one line; a model's reasoning comes on top."""
PATIENCE_SECONDS = 120.0
_MARGIN = Decimal("0.5")
_SLACK_TOKENS = 40
_MESSAGES = (
    Message(role="system", content="You answer in a few words."),  # as every request of a chapter has one
    Message(role="user", content="Say in a few words that you can be reached. Write 1 lines."),
)


async def send_live_request(
    workspace: Workspace, book: Book, *, author: Author, profile: Profile, counter: TokenCounter, price: Price | None
) -> CheckResult:
    """Buys one answer, afresh each time, and reports what came and what it cost."""
    began = time.monotonic()
    try:
        with open_ledger(workspace, book) as (ledger, run):
            edition = ledger.raise_edition(CHAPTER, SECTION)
            order = _order(run.id, book, edition, profile, counter, price)
            client = BudgetedClient(ledger=ledger, author=author, retry=RetryPolicy(max_attempts=1))
            # Ends the wait for a rate limit; a request that was sent is waited for.
            timer = asyncio.get_running_loop().call_later(PATIENCE_SECONDS, client.stop)
            try:
                bought = await client.buy(order)
            finally:
                timer.cancel()
                await client.drain()
    except ExpandError as error:
        return from_error("live", error)
    usage, model = bought.usage, bought.answer.model
    cost = f", {usd_from_pico(price.cost(usage)):f} USD" if price else ""
    by = f" by {model}" if model not in ("", profile.name) else ""
    message = (
        f"answered{by} in {time.monotonic() - began:.1f} s: {usage.prompt:,} tokens in, "
        f"{usage.completion:,} out{cost}, entered in the ledger"
    )
    if bought.answer.usage is None:
        message += "; the provider reported no usage, so the reservation was charged"
        return warning("live", message, "use a provider or a server that reports usage")
    return ok("live", message)


def _order(
    run_id: str, book: Book, edition: int, profile: Profile, counter: TokenCounter, price: Price | None
) -> Order:
    cap = min(profile.max_output_tokens, profile.reasoning_tokens + OUTPUT_TOKENS)
    request = Request(
        model=profile.name,
        messages=_MESSAGES,
        max_output_tokens=cap,
        parameters=profile.parameters,
        edition=edition,
    )
    prompt = raised(counter.count_messages(request.messages), _MARGIN) + _SLACK_TOKENS
    return Order(
        request=request,
        address=Address(chapter=CHAPTER, section=SECTION, purpose="draft"),
        run_id=run_id,
        language=book.language,
        plan="full",
        prompt_tokens=prompt,
        prompt_estimate=0,  # so short a prompt says nothing about the estimates of real ones
        amount=Amount(tokens=prompt + cap, pico_usd=price.bound(prompt, cap) if price else None),
        cost=price.cost if price else no_price,
        unpriced=True,
    )
