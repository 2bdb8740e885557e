"""Which models write: their profiles, prices, token counts and templates, as the settings mean them; and what a run
learns of their thinking."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from decimal import Decimal
from math import ceil
from typing import TYPE_CHECKING

from expand.drafting.run_options import RunOptions
from expand.errors import InputError, Place
from expand.ledger import Ledger, OutputHistory
from expand.llm.endpoint import Endpoint
from expand.llm.profile import Price, Profile, profile_for
from expand.llm.tokens import TokenCounter, price_for
from expand.llm.types import Answer, Finish, OnText, Request, Usage, ignore_text
from expand.outline import Book
from expand.settings import ModelRole, Settings
from expand.workspace import Workspace

if TYPE_CHECKING:
    from expand.llm.openai_client import OpenAIAuthor
    from expand.prompts.rendering import Prompts

ESTIMATE_MARGIN = Decimal("0.15")
"""By how much prompt counts of a model that tiktoken does not know are raised at first."""
CAPS_LEARN, CAP_ROOM = 8, 2
"""From so many answers on a model's output caps are learnt: so many times the most that they took."""
MOSTLY_THINKING = 0.9
"""The share of an answer's tokens from which they were all spent on thinking."""
IN_VAIN_SECTIONS = 2
"""When so many sections in a row got nothing but thinking from a model, the run asks it for no more."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelSetup:
    """What a chapter is written with: the model's profile, its tokens, its price, the templates.

    ``margin`` is the share by which prompt counts are raised for the reservation. ``code_check``: its code blocks are
    judged."""

    profile: Profile
    counter: TokenCounter
    price: Price | None
    prompts: Prompts
    margin: Callable[[], Decimal]
    code_check: bool = False


def profile_of(workspace: Workspace, settings: Settings) -> Profile:
    """The profile of the model in the settings. Raises ``InputError``."""
    place = Place(path=workspace.settings_path)
    profile = profile_for(settings.model, settings.models, served=settings.provider.profile, place=place)
    file = settings.model_file
    if file is not None and profile.context_window > file.context_window:
        raise InputError(
            f"{profile.name} has a context window of {profile.context_window:,} here, and its file {file.path} of "
            f"{file.context_window:,}",
            remedy=f'give [models."{profile.name}"] a smaller context_window',
            place=place,
        )
    return profile


def cost_of(workspace: Workspace, settings: Settings) -> Callable[[str, Usage], int | None]:
    """What usage of a model costs in pico-dollars, None without a price."""

    def cost(model: str, usage: Usage) -> int | None:
        own = settings.for_model(model)
        price = price_for(model, profile_of(workspace, own), own.base_url)
        return price.cost(usage) if price else None

    return cost


def model_setup_for(workspace: Workspace, settings: Settings, *, ledger: Ledger | None) -> ModelSetup:
    """What chapters are written with under these settings."""
    from expand.prompts.rendering import Prompts  # start-up time: jinja2

    profile = profile_of(workspace, settings)
    if ledger is not None:
        profile = _capped(profile, ledger.output_history(profile.name))
    counter = TokenCounter(profile.known_as)
    floor = Decimal(0) if counter.exact and settings.provider.exact_tokens else ESTIMATE_MARGIN

    def margin() -> Decimal:
        return max(floor, Decimal(str(ledger.prompt_history(settings.model))) - 1) if ledger else floor

    return ModelSetup(
        profile=profile,
        counter=counter,
        price=price_for(settings.model, profile, settings.base_url),
        prompts=Prompts(workspace.prompts_folder, style=profile.style),
        margin=margin,
        code_check=settings.code.check,
    )


def _capped(profile: Profile, history: OutputHistory) -> Profile:
    """The profile with lower output caps, where the model's answers say that they are enough.

    Ready caps are made for any model and text: a tenth of one is used, and all of it is reserved. Twice the most that a
    line took leaves room for a model that writes more than it is asked for. One answer that did not end by itself is
    reason to doubt that, and brings the ready caps back."""
    if history.answers < CAPS_LEARN or history.cut:
        return profile
    return replace(
        profile,
        tokens_per_line=min(profile.tokens_per_line, ceil(CAP_ROOM * history.tokens_a_line)),
        # Some providers count thinking without saying how much it was: 0 says nothing.
        reasoning_tokens=min(profile.reasoning_tokens, CAP_ROOM * history.reasoning or profile.reasoning_tokens),
    )


def require_language(profile: Profile, book: Book, language: str) -> None:
    """Refuses a language that the book does not have or the model does not write."""
    book.require_language(language)
    if not profile.writes(language):
        written = ", ".join(profile.languages or ())
        raise InputError(
            f"model {profile.name} writes only {written}, not {language}",
            remedy="set OPENAI_API_KEY, or give --base-url and --model of one that does",
        )


def other_roles(workspace: Workspace, settings: Settings, options: RunOptions) -> tuple[ModelRole, ...]:
    """The roles beside those of sections whose models a run may ask. Raises ``InputError``."""
    if options.sections is not None or options.read is False:
        return ()
    return ("review",) if options.read or profile_of(workspace, settings.for_role("review")[0]).read else ()


def endpoint_of(settings: Settings) -> Endpoint:
    """Where the settings have requests sent, and with which key. Raises ``UntrustedError``."""
    settings.require_trust()
    return Endpoint(
        api_key=settings.api_key,
        base_url=settings.base_url,
        key_header=settings.provider.key_header,
        headers=settings.provider.headers,
        for_openai=settings.for_openai,
        read_seconds=settings.timeout_seconds,
        total_seconds=settings.total_timeout_seconds,
    )


def author_for(settings: Settings, profile: Profile) -> OpenAIAuthor:
    """The author that the settings mean. It loads the SDK or starts the model with the first request."""
    from expand.llm.local_model import EmbeddedAuthor  # asyncio: start-up time of commands that send nothing
    from expand.llm.openai_client import OpenAIAuthor

    if settings.embedded:
        return EmbeddedAuthor(settings.model_file, profile=profile)
    return OpenAIAuthor(endpoint_of(settings), profile.form)


class Authors(dict[str, "OpenAIAuthor"]):
    """Authors by model, as one: each request goes to its own model's."""

    async def open(self, model: str) -> None:
        """Load what a model's requests need, or start the model; send nothing. Raises ``AuthorError``."""
        await self[model].open()

    async def complete(self, request: Request, *, client_request_id: str, on_text: OnText = ignore_text) -> Answer:
        """Send the request to its model. Raises as ``Author`` does."""
        return await self[request.model].complete(request, client_request_id=client_request_id, on_text=on_text)


@dataclass(kw_only=True, slots=True)
class ThinkingRoom:
    """What a run has learnt of models that spend their output on thinking, by model name.

    ``tokens`` is what the output caps of its requests are raised by, from ``spent`` on: thinking takes as long for a
    few lines as for many. ``in_vain`` counts the sections in a row that got nothing all the same."""

    tokens: Counter[str] = field(default_factory=Counter)
    spent: Counter[str] = field(default_factory=Counter)
    in_vain: Counter[str] = field(default_factory=Counter)

    def cap(self, profile: Profile, cap: int, room: int) -> int:
        """An output cap with the room that the model's thinking needs, in ``room`` tokens at the most."""
        raised = max(cap, self.spent[profile.name]) + self.tokens[profile.name]
        return max(cap, min(raised, profile.max_output_tokens, room))

    def give(self, profile: Profile, cap: int) -> bool:
        """Raise the caps after one of ``cap`` tokens was spent; False when they were raised or cannot be."""
        if self.tokens[profile.name] or cap >= profile.max_output_tokens:
            return False
        self.tokens[profile.name], self.spent[profile.name] = max(cap, profile.reasoning_tokens), cap
        return True

    def gave_up(self, model: str) -> bool:
        """Whether there is no use in asking a model for further sections."""
        return self.in_vain[model] >= IN_VAIN_SECTIONS


def spent_on_thinking(answer: Answer, thought: bool) -> bool:
    """Whether an answer without text was spent on thinking. ``thought``: it holds some."""
    if answer.finish is Finish.CUT:
        return False  # how long a connection held says nothing of how much the model thinks
    usage = answer.usage
    reasoned = usage is not None and usage.reasoning > 0 and usage.reasoning >= MOSTLY_THINKING * usage.completion
    return reasoned or thought or answer.finish is Finish.LENGTH
