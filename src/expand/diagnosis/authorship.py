"""The author model: key, endpoint, name, profile, price and tokenizer."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from pathlib import Path

from expand.budget import usd_from_pico
from expand.diagnosis.endpoint import Endpoint
from expand.diagnosis.finding import Finding, failure, from_error, note, ok, warning
from expand.errors import ExpandError, InputError
from expand.model import embedded
from expand.model.pricing import Price
from expand.model.profile import Profile
from expand.model.tokens import TokenCounter
from expand.outline import Book
from expand.settings import Settings, require_author

_TRIAL = "One line of a chapter, to try the tokenizer with."


def key_finding(settings: Settings, path: Path) -> Finding:
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


def endpoint_findings(settings: Settings, endpoint: Endpoint) -> Iterator[Finding]:
    """Whether the API answers, takes the key, and has the model."""
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
                "set OPENAI_API_KEY to a key of this provider; new ones come from its account page",
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


def _model_finding(settings: Settings, models: tuple[str, ...]) -> Finding:
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


def embedded_finding() -> Finding:
    """Whether the local model can start."""
    if embedded.is_installed():
        return ok("endpoint", "the embedded local model is installed; it starts when needed")
    return failure("endpoint", "the embedded local model is not installed", embedded.REMEDY)


def profile_findings(profile: Profile, book: Book | None, *, known: bool) -> Iterator[Finding]:
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


def price_finding(model: str, price: Price | None, book: Book | None) -> Finding:
    """What the model costs, as far as is known."""
    if price is not None:
        if not any((price.prompt, price.cached, price.completion)):
            return ok("price", "nothing: it runs on this machine")
        prompt, completion = (
            usd_from_pico(pico * 10**6).normalize() for pico in (price.prompt, price.completion)
        )
        return ok("price", f"{prompt:f} USD in, {completion:f} USD out, per million tokens")
    remedy = f'state prices in expand.toml under [models."{model}"], or count tokens alone'
    if book is not None and book.allowance.usd is not None:
        return failure(
            "price",
            f"{model} has no known price, and the book sets a limit of {book.allowance.usd} USD",
            f"{remedy} with --unpriced",
        )
    return note("price", f"{model} has no known price: cost is reported as unknown", remedy)


def tokenizer_finding(counter: TokenCounter) -> Finding:
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
