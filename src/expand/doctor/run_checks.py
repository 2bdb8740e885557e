"""Runs all checks, in the order in which a reader mends what they find; ``--live`` sends one small request.

That goes through the ledger, the whole way to an answer, for the chapter ``doctor``, section 0, which no outline has.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from expand.budget import Amount, usd_from_pico
from expand.client.client import BudgetedClient
from expand.client.retry_policy import RetryPolicy
from expand.doctor import CheckResult, failure, from_error, model_checks, note, ok, warning
from expand.doctor.environment import Terminal, check_environment, check_storage
from expand.doctor.model_checks import EndpointReply, ask_endpoint
from expand.drafting.model_setup import author_for, profile_of
from expand.drafting.run_context import open_ledger
from expand.errors import ExpandError, InputErrors
from expand.ledger import Order
from expand.llm.profile import Price, Profile, is_known
from expand.llm.tokens import TokenCounter, price_for, raised
from expand.llm.types import Address, Author, Message, Request
from expand.outline import Book
from expand.settings import Overrides, Settings, read_settings
from expand.workspace import Workspace, find_workspace

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
    cap = min(profile.max_output_tokens, profile.reasoning_tokens + OUTPUT_TOKENS)
    prompt = raised(counter.count_messages(_MESSAGES), _MARGIN) + _SLACK_TOKENS
    try:
        with open_ledger(workspace, book) as (ledger, run):
            request = Request(
                model=profile.name,
                messages=_MESSAGES,
                max_output_tokens=cap,
                parameters=profile.parameters,
                edition=ledger.raise_edition(CHAPTER, SECTION),
            )
            order = Order(
                request=request,
                address=Address(chapter=CHAPTER, section=SECTION, purpose="draft"),
                run_id=run.id,
                language=book.language,
                plan="full",
                prompt_tokens=prompt,
                prompt_estimate=0,  # so short a prompt says nothing about the estimates of real ones
                amount=Amount(tokens=prompt + cap, pico_usd=price.bound(prompt, cap) if price else None),
                cost=price.cost if price else None,
                unpriced=True,
            )
            client = BudgetedClient(ledger=ledger, author=author, retry=RetryPolicy(max_attempts=1))
            # Ends the wait for a rate limit; a request that was sent is waited for.
            timer = asyncio.get_running_loop().call_later(PATIENCE_SECONDS, client.stop)
            try:
                bought = await client.buy(order)
            finally:
                timer.cancel()
                await client.drain()
    except ExpandError as error:
        return from_error("live", error)[0]
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


@dataclass(frozen=True, kw_only=True, slots=True)
class DoctorReport:
    """All results, in order."""

    findings: tuple[CheckResult, ...]

    @property
    def exit_code(self) -> int:
        """0, or 2 when the user has something to mend, else 4 when the author fails."""
        return min((one.exit_code for one in self.findings if one.status == "failure"), default=0)


async def run_checks(
    start: Path,
    *,
    given: Path | None = None,
    environment: Mapping[str, str],
    overrides: Overrides | None = None,
    terminal: Terminal,
    live: bool = False,
    ask: Callable[[Settings], Awaitable[EndpointReply]] = ask_endpoint,
    author: Author | None = None,
    free_bytes: Callable[[Path], int] | None = None,
) -> DoctorReport:
    """Checks everything. ``live`` sends one small request, unless a check has failed before.

    ``author`` takes the place of the one that the settings mean, and ``ask`` is the first to send anything. Of a
    workspace that is not trusted, nothing that it names is contacted."""
    found = list(check_environment(environment, terminal))
    try:
        workspace = find_workspace(start, given=given, environment=environment)
        settings = read_settings(
            workspace.settings_path, environment=environment, overrides=overrides, trusted=workspace.trusted
        )
        profile = profile_of(workspace, settings)
    except ExpandError as error:
        return DoctorReport(findings=(*found, *from_error("settings", error)))
    base = f" at {settings.base_url}" if settings.base_url else ""
    found.append(ok("settings", f"{workspace.settings_path}: {settings.model}{base}"))
    found += model_checks.check_provider(settings)
    book = _book(workspace, found)
    key = model_checks.check_key(settings, workspace.settings_path)
    found.append(key)
    if settings.embedded:
        found.append(model_checks.check_embedded(settings))
    elif key.status == "ok":
        found += model_checks.check_endpoint(settings, await ask(settings), profile)
    found += model_checks.check_other_models(settings, workspace.settings_path)
    known = settings.model_file is not None or is_known(settings.model, settings.models)
    found += model_checks.check_profile(profile, book, known=known)
    price = price_for(settings.model, profile, settings.base_url)
    found.append(model_checks.check_price(settings.model, price, book))
    counter = None
    try:
        counter = TokenCounter(profile.known_as, encoding=profile.encoding)
        found.append(model_checks.check_tokenizer(counter))
    except ExpandError as error:
        found += from_error("tokenizer", error)
    found += check_storage(workspace, free_bytes=free_bytes)
    if live and (book is None or counter is None or any(one.status == "failure" for one in found)):
        found.append(note("live", "nothing was sent", "mend what has failed above first"))
    elif live and book is not None and counter is not None:
        async with author_for(settings, profile) as meant:
            result = await send_live_request(
                workspace, book, author=author or meant, profile=profile, counter=counter, price=price
            )
            found.append(result)
            asked = "the provider refused the request as the settings have it, and was asked another way"
            found += [
                warning("request", asked, f"write into expand.toml: {line}") for line in meant.advice(profile.name)
            ]
    return DoctorReport(findings=tuple(found))


def _book(workspace: Workspace, found: list[CheckResult]) -> Book | None:
    try:
        book = workspace.book()
    except ExpandError as error:
        found += from_error("book", error)
        return None
    chapters, readable = workspace.chapter_ids(), 0
    for chapter in chapters:
        with suppress(InputErrors):
            workspace.outline(chapter)
            readable += 1
    title, outlines = book.title.say(book.language), f"{len(chapters):,} outline{'s' if len(chapters) != 1 else ''}"
    if readable < len(chapters):
        said = f"{title}, {readable:,} of {outlines} can be read"
        found.append(failure("book", said, "run `expand outline check` and mend what it lists"))
    elif chapters:
        found.append(ok("book", f"{title}, {outlines}"))
    else:
        remedy = "write one, or make it with `expand outline import DOCUMENT`"
        found.append(warning("book", "no chapter has an outline yet", remedy))
    return book
