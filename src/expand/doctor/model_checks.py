"""Checks the author model: key, endpoint, name, profile, price and tokenizer.

The endpoint is asked which models it has: that is free of charge, and it tries the key.
"""

import asyncio
import difflib
import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Literal, NamedTuple

from expand.budget import usd_from_pico
from expand.doctor import CheckResult, failure, from_error, note, ok, warning
from expand.drafting.model_setup import endpoint_of
from expand.errors import InputError, UntrustedError
from expand.llm import local_model
from expand.llm.endpoint import OPENAI_URL, Endpoint, api_url, other_url
from expand.llm.openai_client import OpenAIClient
from expand.llm.profile import COMPATIBLE, Price, Profile
from expand.llm.tokens import TokenCounter
from expand.llm.types import AttemptFailedError
from expand.outline import Book
from expand.settings import Settings, require_author

PATIENCE_SECONDS = 10.0
_WINDOW_NAMES = ("max_model_len", "context_length", "max_context_length", "context_window")
"""What vLLM, OpenRouter, LM Studio and others call a model's context window in their lists."""

Reply = Literal["listed", "no_list", "unauthorized", "unreachable", "no_api"]


class EndpointReply(NamedTuple):
    """The reply of ``url``: ``models`` are those it lists, ``said`` is how it failed.

    ``windows`` are the context windows, in tokens, of the models that it states one for. ``moved_to`` is the base URL
    at which it was found, where that is not the one of the settings."""

    url: str
    reply: Reply
    models: tuple[str, ...] = ()
    windows: Mapping[str, int] = MappingProxyType({})
    said: str = ""
    moved_to: str = ""


async def ask_endpoint(settings: Settings, *, patience_seconds: float = PATIENCE_SECONDS) -> EndpointReply:
    """Asks for the list of models. Raises nothing for what goes wrong; the key is in no text."""
    stated = api_url(settings.base_url or OPENAI_URL)
    found = await _ask(endpoint_of(settings), stated, patience_seconds)
    other = other_url(stated)
    if other is None or found.reply not in ("no_api", "no_list"):
        return found
    elsewhere = await _ask(replace(endpoint_of(settings), base_url=other), other, patience_seconds)
    return elsewhere._replace(moved_to=other) if elsewhere.reply in ("listed", "unauthorized") else found


async def _ask(endpoint: Endpoint, base_url: str, patience_seconds: float) -> EndpointReply:
    url = f"{base_url}/models"
    try:
        async with asyncio.timeout(patience_seconds), OpenAIClient(endpoint) as client:
            status, body, location = await client.get("/models")
    except TimeoutError:
        return EndpointReply(url, "unreachable", said=f"no answer in {patience_seconds:g} s")
    except (AttemptFailedError, InputError) as error:
        return EndpointReply(url, "unreachable", said=str(error))
    return endpoint_from(url, status, body, location=location)


def endpoint_from(url: str, status: int, body: bytes, *, location: str = "") -> EndpointReply:
    """The reply that an HTTP response to the question means."""
    if status in (401, 403):
        return EndpointReply(url, "unauthorized", said=f"HTTP {status}")
    if 300 <= status < 400:
        return EndpointReply(url, "no_api", said=f"HTTP {status}, redirected to {location}")
    try:
        answer = json.loads(body)
    except ValueError:
        kind = "a web page" if body.lstrip()[:1] == b"<" else "no JSON"
        return EndpointReply(url, "no_list" if status >= 500 else "no_api", said=f"HTTP {status} with {kind}")
    if status != 200:
        return EndpointReply(url, "no_list", said=f"HTTP {status}")
    try:
        listed = [(str(entry["id"]), entry) for entry in answer["data"]]
    except (KeyError, TypeError):
        return EndpointReply(url, "no_list", said="the answer is no list of models")
    windows = {name: window for name, entry in listed if (window := _window(entry))}
    return EndpointReply(url, "listed", models=tuple(name for name, _ in listed), windows=windows)


def _window(entry: Mapping[str, object]) -> int | None:
    """The context window that an entry of the list states. llama.cpp has it inside ``meta``."""
    meta = entry.get("meta")
    stated = [entry.get(name) for name in _WINDOW_NAMES]
    stated.append(meta.get("n_ctx") if isinstance(meta, Mapping) else None)
    return next((n for n in stated if isinstance(n, int) and not isinstance(n, bool) and n), None)


def check_key(settings: Settings, path: Path) -> CheckResult:
    """Whether there is a key where one is needed; it is never shown."""
    try:
        require_author(settings, path=path)
    except InputError as error:
        return from_error("trust" if isinstance(error, UntrustedError) else "key", error)[0]
    if settings.embedded:
        return ok("key", "none is needed: the embedded local model is the author")
    if settings.api_key is None:
        return ok("key", "none is set, and a server on this machine needs none")
    return ok("key", f"{settings.key_variable} is set, {len(settings.api_key)} characters")


def check_other_models(settings: Settings, path: Path) -> Iterator[CheckResult]:
    """Whether the models of the other roles, and those that stand in, can be asked as far as the settings go."""
    for one in settings.others.values():
        try:
            require_author(one, path=path)
            if one.embedded:
                local_model.require_installed(one.model_file)
        except InputError as error:
            yield from from_error("model", error)
            continue
        where = "here, by the embedded server" if one.embedded else f"at {one.base_url or OPENAI_URL}"
        used: list[str] = [role for role, model in settings.roles.items() if model == one.model]
        used += ["fallback"] if one.model in settings.fallback else []
        yield ok("model", f"{one.model} ({', '.join(used)}) is asked {where}")


def check_provider(settings: Settings) -> Iterator[CheckResult]:
    """Who the server is taken for, and what its users should know."""
    provider = settings.provider
    if settings.embedded or provider == COMPATIBLE:
        return
    if provider.guessed:
        message = f"{settings.base_url} is taken for {provider.title} by its {provider.recognised_by}"
        remedy = f'if it is another, name it in expand.toml: [author] provider = "{COMPATIBLE.name}"'
        yield note("provider", message, remedy)
    else:
        found = f", by its {provider.recognised_by}" if provider.recognised_by else ""
        yield ok("provider", f"{provider.title}{found}")
    if provider.advice:
        yield note("provider", f"{provider.title} is set up outside of expand", provider.advice)


def check_endpoint(settings: Settings, endpoint: EndpointReply, profile: Profile) -> Iterator[CheckResult]:
    """Whether the API answers, takes the key, and has the model with the window that its profile says."""
    url, said = endpoint.url, endpoint.said
    if endpoint.moved_to:
        message = f"there is no API at {settings.base_url}, but one at {endpoint.moved_to}, which a run finds by itself"
        yield warning("endpoint", message, f'write into expand.toml: [author] base_url = "{endpoint.moved_to}"')
    match endpoint.reply:
        case "unreachable":
            remedy = "start the server, check the base URL, the network and the proxy"
            yield failure("endpoint", f"{url} cannot be reached: {said}", remedy, exit_code=4)
        case "unauthorized":
            message = f"{url} {'refuses the key' if settings.api_key else 'wants a key'} ({said})"
            remedy = f"set {settings.key_variable} to a key of this provider; new ones come from its account page"
            yield failure("endpoint", message, remedy, exit_code=4)
        case "no_api":
            remedy = "give the base URL as the provider states it (often it ends in /v1)"
            yield failure("endpoint", f"{url} is not an OpenAI-compatible API: {said}", remedy, exit_code=4)
        case "no_list":
            remedy = "check that the base URL ends as the provider says (often /v1); try --live"
            yield warning("endpoint", f"{url} answers, but lists no models: {said}", remedy)
        case _:
            count = len(endpoint.models)
            yield ok("endpoint", f"{url} answers, {count} model{'s' if count != 1 else ''}")
            yield _check_model(settings, endpoint.models)
            window = endpoint.windows.get(settings.model)
            if window is not None and window < profile.context_window:
                message = f"{profile.name} has a context window of {window:,} tokens there, and its profile says "
                remedy = f'give the server more, or set [models."{profile.name}"] context_window = {window}'
                yield failure("window", f"{message}{profile.context_window:,}", remedy)


def _check_model(settings: Settings, models: tuple[str, ...]) -> CheckResult:
    if settings.model in models:
        return ok("model", f"{settings.model} is there")
    if settings.local and len(models) == 1:
        # llama.cpp's server and others that serve one model answer to any name.
        message = f"the server has only {models[0]}; it may answer to {settings.model} all the same"
        return note("model", message, f"give --model {models[0]} to be sure")
    near = difflib.get_close_matches(settings.model, models, n=1, cutoff=0.5)
    listed = ", ".join(sorted(models)[:6]) + (", …" if len(models) > 6 else "")
    remedy = f"did you mean {near[0]}?" if near else f"it has: {listed or 'none'}"
    return failure("model", f"the endpoint has no model {settings.model}", remedy, exit_code=4)


def check_embedded(settings: Settings) -> CheckResult:
    """Whether the local model can start."""
    try:
        local_model.require_installed(settings.model_file)
    except InputError as error:
        return failure("endpoint", error.what, error.remedy)
    file = settings.model_file
    what = f"{settings.model} is served here, from {file.path}" if file else "the embedded local model is installed"
    return ok("endpoint", f"{what}; it starts when needed")


def check_profile(profile: Profile, book: Book | None, *, known: bool) -> Iterator[CheckResult]:
    """What the tool assumes that the model can do."""
    limits = (
        f"context window {profile.context_window:,} tokens, at most {profile.max_output_tokens:,} out, "
        f"{profile.lines_per_request} lines a request"
    )
    if known:
        yield ok("profile", limits)
    else:
        remedy = f'state them in expand.toml under [models."{profile.name}"]'
        yield note("profile", f"nothing is known about {profile.name}; assumed: {limits}", remedy)
    unwritten = [x for x in (book.languages if book else ()) if not profile.writes(x)]
    if book is not None and unwritten:
        what = f"{profile.name} does not write {', '.join(unwritten)}"
        remedy = "choose another model for it; set OPENAI_API_KEY or give --base-url and --model"
        if book.language in unwritten:
            yield failure("language", f"{what}, the book's language", remedy)
        else:
            yield note("language", what, remedy)


def check_price(model: str, price: Price | None, book: Book | None) -> CheckResult:
    """What the model costs, as far as is known."""
    if price is not None:
        if not any((price.prompt, price.cached, price.completion)):
            return ok("price", "nothing: it runs on this machine")
        prompt, completion = (usd_from_pico(pico * 10**6).normalize() for pico in (price.prompt, price.completion))
        return ok("price", f"{prompt:f} USD in, {completion:f} USD out, per million tokens")
    remedy = f'state prices in expand.toml under [models."{model}"], or count tokens alone'
    if book is not None and book.allowance.usd is not None:
        message = f"{model} has no known price, and the book sets a limit of {book.allowance.usd} USD"
        return failure("price", message, f"{remedy} with --unpriced")
    return note("price", f"{model} has no known price: cost is reported as unknown", remedy)


def check_tokenizer(counter: TokenCounter) -> CheckResult:
    """Whether tokens are counted exactly. Raises ``ExpandError`` where the tokenizer's files are damaged."""
    counter.count("One line of a chapter, to try the tokenizer with.")
    if counter.exact:
        return ok("tokenizer", f"{counter.encoding}, exact, offline")
    estimates = "counts are estimates with a margin, which narrows with every answer"
    return note("tokenizer", f"{counter.encoding} stands in for the model's own: {estimates}")
