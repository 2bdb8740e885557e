"""Who writes: the author that the settings mean, its profile and price, and what it writes with.

The only place that knows which author a setting means.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from decimal import Decimal
from types import TracebackType
from typing import TYPE_CHECKING, Self

from expand.errors import AuthorError, InputError, Place
from expand.ledger import Ledger
from expand.llm.pricing import price_for
from expand.llm.profile import Profile, profile_for
from expand.llm.types import Answer, AttemptFailedError, Author, OnText, Request, Usage, ignore_text
from expand.outline import Book
from expand.settings import Settings
from expand.workspace import Workspace

if TYPE_CHECKING:
    from expand.drafting.chapter_state import ModelSetup
    from expand.llm.local_model import EmbeddedAuthor
    from expand.llm.openai_client import OpenAIAuthor

ESTIMATE_MARGIN = Decimal("0.15")
"""By how much prompt counts of a model that tiktoken does not know are raised at first."""
MARGIN_LEARNS, MARGIN_HOLDS = 64, 8
"""The history of a model is looked up for each of so many questions, then for every eighth."""


def profile_of(workspace: Workspace, settings: Settings) -> Profile:
    """The profile of the model in the settings. Raises ``InputError``."""
    place = Place(path=workspace.settings_path)
    served = settings.provider.profile
    return profile_for(settings.model, settings.models, served=served, place=place)


def cost_of(workspace: Workspace, settings: Settings) -> Callable[[str, Usage], int | None]:
    """What usage of a model costs in pico-dollars, None without a price."""

    def cost(model: str, usage: Usage) -> int | None:
        profile = profile_of(workspace, replace(settings, model=model))
        price = price_for(model, profile, settings.base_url)
        return price.cost(usage) if price else None

    return cost


def model_setup_for(workspace: Workspace, settings: Settings, *, ledger: Ledger | None) -> ModelSetup:
    """What chapters are written with under these settings."""
    from expand.drafting.chapter_state import ModelSetup  # start-up time: templates and checks
    from expand.llm.tokens import TokenCounter
    from expand.prompts.rendering import Prompts

    profile = profile_of(workspace, settings)
    counter = TokenCounter(profile.known_as, encoding=profile.encoding)
    exact = counter.exact and settings.provider.exact_tokens
    floor = Decimal(0) if exact else ESTIMATE_MARGIN
    latest = floor
    asked = itertools.count()

    def margin() -> Decimal:
        nonlocal latest
        asking = next(asked)
        if asking < MARGIN_LEARNS or asking % MARGIN_HOLDS == 0:
            history = ledger.prompt_history(settings.model) if ledger else None
            seen = Decimal(str(history.worst)) - 1 if history and history.answers else Decimal(0)
            latest = max(floor, seen)
        return latest

    return ModelSetup(
        profile=profile,
        counter=counter,
        price=price_for(settings.model, profile, settings.base_url),
        prompts=Prompts(workspace.prompts_folder, style=profile.style),
        margin=margin,
    )


def require_language(profile: Profile, book: Book, language: str) -> None:
    """Refuses a language that the book does not have or the model does not write."""
    if language not in book.languages:
        raise InputError(
            f"the book has no language {language!r}",
            remedy=f"give one of: {', '.join(book.languages)}, or add it to outlines/book.yaml",
        )
    if not profile.writes(language):
        written = ", ".join(profile.languages or ())
        raise InputError(
            f"model {profile.name} writes only {written}, not {language}",
            remedy="set OPENAI_API_KEY, or give --base-url and --model of one that does",
        )


class DeferredAuthor:
    """The author that the settings mean, opened at the first request and not before.

    A run that finds everything in the ledger neither imports the SDK nor starts a model.
    """

    def __init__(self, settings: Settings, profile: Profile) -> None:
        self._settings = settings
        self._profile = profile
        self._stack = AsyncExitStack()
        self._author: Author | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._stack.aclose()

    async def complete(self, request: Request, *, client_request_id: str, on_text: OnText = ignore_text) -> Answer:
        """Send the request once."""
        await self.open()
        assert self._author is not None  # open has seen to it
        return await self._author.complete(request, client_request_id=client_request_id, on_text=on_text)

    async def open(self) -> None:
        """Import the SDK or start the model, once. Raises ``AuthorError`` when that fails."""
        if self._author is None:
            opened = self._opened()
            self._stack.push_async_exit(opened)
            self._author = opened
            try:
                await opened.open()
            except AttemptFailedError as failed:
                raise AuthorError(f"{failed.message}; run `expand doctor`") from failed

    def _opened(self) -> EmbeddedAuthor | OpenAIAuthor:
        if self._settings.embedded:
            from expand.llm.local_model import EmbeddedAuthor  # start-up time

            return EmbeddedAuthor()
        from expand.llm.openai_client import OpenAIAuthor  # start-up time

        return OpenAIAuthor(
            api_key=self._settings.api_key,
            base_url=self._settings.base_url,
            output_cap_name=self._profile.output_cap_name,
            key_header=self._settings.provider.key_header,
            headers=self._settings.provider.headers,
            read_seconds=self._settings.timeout_seconds,
        )
