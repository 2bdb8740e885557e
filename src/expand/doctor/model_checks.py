"""The author model: key, endpoint, name, profile, price and tokenizer."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from pathlib import Path

from expand.budget import usd_from_pico
from expand.doctor.check_result import CheckResult, failure, from_error, note, ok, warning
from expand.doctor.endpoint import Endpoint
from expand.errors import ExpandError, InputError
from expand.llm import local_model
from expand.llm.pricing import Price
from expand.llm.profile import Profile
from expand.llm.provider import COMPATIBLE
from expand.llm.tokens import TokenCounter
from expand.outline import Book
from expand.settings import Settings, require_author

_TRIAL = "One line of a chapter, to try the tokenizer with."


def key_finding(settings: Settings, path: Path) -> CheckResult:
    """Whether there is a key where one is needed; it is never shown."""
    try:
        require_author(settings, path=path)
    except InputError as error:
        return from_error("key", error)
    if settings.embedded:
        return ok("key", "none is needed: the embedded local model is the author")
    if settings.api_key is None:
        return ok("key", "none is set, and a server on this machine needs none")
    return ok("key", f"{settings.key_variable} is set, {len(settings.api_key)} characters")


def provider_findings(settings: Settings) -> Iterator[CheckResult]:
    """Who the server is taken for, and what its users should know."""
    provider = settings.provider
    if settings.embedded or (provider == COMPATIBLE and not settings.recognised_by):
        return
    if settings.guessed:
        yield note(
            "provider",
            f"{settings.base_url} is taken for {provider.title} by its {settings.recognised_by}",
            f'if it is another, name it in expand.toml: [author] provider = "{COMPATIBLE.name}"',
        )
    else:
        found = f", by its {settings.recognised_by}" if settings.recognised_by else ""
        yield ok("provider", f"{provider.title}{found}")
    if provider.advice:
        yield note("provider", f"{provider.title} is set up outside of expand", provider.advice)


def endpoint_findings(settings: Settings, endpoint: Endpoint, profile: Profile) -> Iterator[CheckResult]:
    """Whether the API answers, takes the key, and has the model with the window it is to have."""
    match endpoint.reply:
        case "unreachable":
            yield failure(
                "endpoint",
                f"{endpoint.url} cannot be reached: {endpoint.said}",
                "start the server, check the base URL, the network and the proxy",
                exit_code=4,
            )
        case "unauthorized":
            yield failure(
                "endpoint",
                f"{endpoint.url} refuses the key ({endpoint.said})"
                if settings.api_key
                else f"{endpoint.url} wants a key ({endpoint.said})",
                f"set {settings.key_variable} to a key of this provider; new ones come from its account page",
                exit_code=4,
            )
        case "no_api":
            yield failure(
                "endpoint",
                f"{endpoint.url} is not an OpenAI-compatible API: {endpoint.said}",
                "give the base URL as the provider states it (often it ends in /v1)",
                exit_code=4,
            )
        case "no_list":
            yield warning(
                "endpoint",
                f"{endpoint.url} answers, but lists no models: {endpoint.said}",
                "check that the base URL ends as the provider says (often /v1); try --live",
            )
        case _:
            yield ok("endpoint", f"{endpoint.url} answers, {len(endpoint.models)} models")
            yield _model_finding(settings, endpoint.models)
            yield from _window_findings(profile, endpoint.windows.get(settings.model))


def _model_finding(settings: Settings, models: tuple[str, ...]) -> CheckResult:
    if settings.model in models:
        return ok("model", f"{settings.model} is there")
    if settings.local and len(models) == 1:
        # llama.cpp's server and others that serve one model answer to any name.
        return note(
            "model",
            f"the server has only {models[0]}; it may answer to {settings.model} all the same",
            f"give --model {models[0]} to be sure",
        )
    near = difflib.get_close_matches(settings.model, models, n=1, cutoff=0.5)
    listed = ", ".join(sorted(models)[:6]) + (", …" if len(models) > 6 else "")
    remedy = f"did you mean {near[0]}?" if near else f"it has: {listed or 'none'}"
    return failure("model", f"the endpoint has no model {settings.model}", remedy, exit_code=4)


def _window_findings(profile: Profile, window: int | None) -> Iterator[CheckResult]:
    """Whether the server's context window is as large as the profile's."""
    if window is not None and window < profile.context_window:
        yield failure(
            "window",
            f"{profile.name} has a context window of {window:,} tokens there, and its profile says "
            f"{profile.context_window:,}",
            f'give the server more, or set [models."{profile.name}"] context_window = {window}',
        )


def embedded_finding() -> CheckResult:
    """Whether the local model can start."""
    if local_model.is_installed():
        return ok("endpoint", "the embedded local model is installed; it starts when needed")
    return failure("endpoint", "the embedded local model is not installed", local_model.REMEDY)


def profile_findings(profile: Profile, book: Book | None, *, known: bool) -> Iterator[CheckResult]:
    """What the tool takes the model to be able to do."""
    room = (
        f"context window {profile.context_window:,} tokens, at most {profile.max_output_tokens:,} "
        f"out, {profile.lines_per_request} lines a request"
    )
    if known:
        yield ok("profile", room)
    else:
        yield note(
            "profile",
            f"nothing is known of {profile.name}; assumed: {room}",
            f'state them in expand.toml under [models."{profile.name}"]',
        )
    unwritten = [x for x in (book.languages if book else ()) if not profile.writes(x)]
    if book is not None and unwritten:
        what = f"{profile.name} does not write {', '.join(unwritten)}"
        remedy = "choose another model for it; set OPENAI_API_KEY or give --base-url and --model"
        if book.language in unwritten:
            yield failure("language", f"{what}, the book's language", remedy)
        else:
            yield note("language", what, remedy)


def price_finding(model: str, price: Price | None, book: Book | None) -> CheckResult:
    """What the model costs, as far as is known."""
    if price is not None:
        if not any((price.prompt, price.cached, price.completion)):
            return ok("price", "nothing: it runs on this machine")
        prompt, completion = (usd_from_pico(pico * 10**6).normalize() for pico in (price.prompt, price.completion))
        return ok("price", f"{prompt:f} USD in, {completion:f} USD out, per million tokens")
    remedy = f'state prices in expand.toml under [models."{model}"], or count tokens alone'
    if book is not None and book.allowance.usd is not None:
        return failure(
            "price",
            f"{model} has no known price, and the book sets a limit of {book.allowance.usd} USD",
            f"{remedy} with --unpriced",
        )
    return note("price", f"{model} has no known price: cost is reported as unknown", remedy)


def tokenizer_finding(counter: TokenCounter) -> CheckResult:
    """Whether tokens are counted exactly, and the files for it are sound."""
    try:
        counter.count(_TRIAL)
    except ExpandError as error:
        return from_error("tokenizer", error)
    if counter.exact:
        return ok("tokenizer", f"{counter.encoding}, exact, offline")
    return note(
        "tokenizer",
        f"{counter.encoding} stands in for the model's own: counts are estimates with a margin, "
        "which narrows with every answer",
    )
