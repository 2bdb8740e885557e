"""The checks of ``expand doctor``, in the order in which a reader mends what they find: the machine, the settings, the
author model, the workspace. ``--live`` sends one small request.

The endpoint is asked which models it has: that is free of charge, and it tries the key. A live request goes through the
ledger, the whole way to an answer, for the chapter ``doctor``, section 0, which no outline has.
"""

import asyncio
import difflib
import errno
import json
import os
import platform
import shlex
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Literal, NamedTuple

from expand import __version__
from expand.budget import usd_from_pico
from expand.client.client import BudgetedClient
from expand.client.retry_policy import RetryPolicy
from expand.doctor import shell_command
from expand.drafting.model_setup import author_for, endpoint_of, model_setup_for, profile_of
from expand.drafting.request_builder import Orders
from expand.drafting.run_context import open_ledger
from expand.drafting.run_options import RunOptions
from expand.errors import ExpandError, InputError, InputErrors, UntrustedError
from expand.ledger import Ledger, pauses_in
from expand.llm import local_model
from expand.llm.endpoint import OPENAI_URL, Endpoint, api_url, other_url
from expand.llm.openai_client import OpenAIClient
from expand.llm.profile import COMPATIBLE, Price, Profile, is_known
from expand.llm.tokens import price_for
from expand.llm.types import Address, AttemptFailedError, Author, Message, Request
from expand.outline import Book
from expand.settings import Overrides, Settings, read_settings, require_author
from expand.workspace import Workspace, find_workspace


class CheckResult(NamedTuple):
    """``subject`` is what was checked, ``message`` what was found, ``remedy`` what to do.

    A ``failure`` keeps the tool from working and has an ``exit_code``: 2 for what the user mends here, 4 for an author
    that cannot be reached or refuses. A ``warning`` works, but badly; a ``note`` is good to know."""

    status: Literal["ok", "note", "warning", "failure"]
    subject: str
    message: str
    remedy: str = ""
    exit_code: int = 0


ok, note, warning = partial(CheckResult, "ok"), partial(CheckResult, "note"), partial(CheckResult, "warning")
failure = partial(CheckResult, "failure", exit_code=2)
unusable = partial(CheckResult, "failure", exit_code=4)
Checks = Iterator[CheckResult]


class DoctorReport(NamedTuple):
    """All results, in order."""

    findings: tuple[CheckResult, ...]

    @property
    def exit_code(self) -> int:
        """0, or 2 when the user has something to mend, else 4 when the author fails."""
        return min((one.exit_code for one in self.findings if one.status == "failure"), default=0)


def from_error(subject: str, error: ExpandError) -> Checks:
    """The failure that an error means, or one for each of several that were found in one go."""
    for one in error.errors if isinstance(error, InputErrors) else [error]:
        message, _, remedy = str(one).partition("; ")
        yield failure(subject, message, remedy, exit_code=error.exit_code)


def checked(subject: str, checks: Checks) -> Checks:
    """What the checks find. An error that ends them is a failure, of ``subject`` or of trust."""
    try:
        yield from checks
    except ExpandError as error:
        yield from from_error("trust" if isinstance(error, UntrustedError) and subject == "key" else subject, error)


# --- the machine -------------------------------------------------------------------------------


def check_machine(environment: Mapping[str, str]) -> Checks:
    """Checks which tool this is, and which one a shell finds."""
    system = f"{platform.python_implementation()} {platform.python_version()}, {sys.platform}"
    yield ok("version", f"expand {__version__}, {system}")
    command = shell_command(environment)
    if command.ours:
        yield ok("command", f"`expand` in a shell is {command.found}")
    elif command.found is not None:
        message = f"`expand` in a shell is {command.found}, another program (coreutils has one)"
        yield warning("command", message, f"type `{command.name}`")
    else:
        remedy = f"add the folder of the installed commands to PATH, or type `{command.name}`"
        yield warning("command", "a shell finds no `expand`", remedy)


# --- the author model --------------------------------------------------------------------------


class EndpointReply(NamedTuple):
    """The reply of ``url``: ``models`` are those it lists, ``said`` is how it failed. ``moved_to`` is the base URL at
    which it was found, where that is not the one of the settings."""

    url: str
    reply: Literal["listed", "no_list", "unauthorized", "unreachable", "no_api"]
    models: tuple[str, ...] = ()
    said: str = ""
    moved_to: str = ""


async def ask_endpoint(settings: Settings, *, patience_seconds: float = 10.0) -> EndpointReply:
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
        return EndpointReply(url, "listed", models=tuple(str(entry["id"]) for entry in answer["data"]))
    except (KeyError, TypeError):
        return EndpointReply(url, "no_list", said="the answer is no list of models")


def _check_provider(settings: Settings) -> Checks:
    """Who the server is taken for, and what its users should know."""
    provider = settings.provider
    if settings.embedded or provider == COMPATIBLE:
        return
    yield ok("provider", provider.title)
    if provider.advice:
        yield note("provider", f"{provider.title} is set up outside of expand", provider.advice)


def _check_key(settings: Settings, path: Path) -> Checks:
    """Whether there is a key where one is needed; it is never shown."""
    require_author(settings, path=path)
    if settings.embedded:
        yield ok("key", "none is needed: the embedded local model is the author")
    elif settings.api_key is None:
        yield ok("key", "none is set, and a server on this machine needs none")
    else:
        yield ok("key", f"{settings.key_variable} is set, {len(settings.api_key)} characters")


def _check_embedded(settings: Settings) -> Checks:
    """Whether the local model can start."""
    local_model.require_installed(settings.model_file)
    file = settings.model_file
    what = f"{settings.model} is served here, from {file.path}" if file else "the embedded local model is installed"
    yield ok("endpoint", f"{what}; it starts when needed")


def _check_endpoint(settings: Settings, endpoint: EndpointReply) -> Checks:
    """Whether the API answers, takes the key, and has the model."""
    url, said = endpoint.url, endpoint.said
    if endpoint.moved_to:
        message = f"there is no API at {settings.base_url}, but one at {endpoint.moved_to}, which a run finds by itself"
        yield warning("endpoint", message, f'write into expand.toml: [author] base_url = "{endpoint.moved_to}"')
    match endpoint.reply:
        case "unreachable":
            remedy = "start the server, check the base URL, the network and the proxy"
            yield unusable("endpoint", f"{url} cannot be reached: {said}", remedy)
        case "unauthorized":
            message = f"{url} {'refuses the key' if settings.api_key else 'wants a key'} ({said})"
            remedy = f"set {settings.key_variable} to a key of this provider; new ones come from its account page"
            yield unusable("endpoint", message, remedy)
        case "no_api":
            remedy = "give the base URL as the provider states it (often it ends in /v1)"
            yield unusable("endpoint", f"{url} is not an OpenAI-compatible API: {said}", remedy)
        case "no_list":
            remedy = "check that the base URL ends as the provider says (often /v1); try --live"
            yield warning("endpoint", f"{url} answers, but lists no models: {said}", remedy)
        case _:
            count = len(endpoint.models)
            yield ok("endpoint", f"{url} answers, {count} model{'s' if count != 1 else ''}")
            yield _check_model(settings, endpoint.models)


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
    return unusable("model", f"the endpoint has no model {settings.model}", remedy)


def _check_other_model(settings: Settings, one: Settings, path: Path) -> Checks:
    """Whether the model of another role, or one that stands in, can be asked as far as the settings go."""
    require_author(one, path=path)
    if one.embedded:
        local_model.require_installed(one.model_file)
    where = "here, by the embedded server" if one.embedded else f"at {one.base_url or OPENAI_URL}"
    used: list[str] = [role for role, model in settings.roles.items() if model == one.model]
    used += ["fallback"] if one.model in settings.fallback else []
    yield ok("model", f"{one.model} ({', '.join(used)}) is asked {where}")


def _check_profile(settings: Settings, profile: Profile) -> CheckResult:
    """What the tool assumes that the model can do."""
    limits = (
        f"context window {profile.context_window:,} tokens, at most {profile.max_output_tokens:,} out, "
        f"{profile.lines_per_request} lines a request"
    )
    if settings.model_file is not None or is_known(settings.model, settings.models):
        return ok("profile", limits)
    remedy = f'state them in expand.toml under [models."{profile.name}"]'
    return note("profile", f"nothing is known about {profile.name}; assumed: {limits}", remedy)


def _check_price(model: str, price: Price | None, book: Book | None) -> CheckResult:
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


# --- the workspace -----------------------------------------------------------------------------


def _check_book(workspace: Workspace, book: Book) -> Checks:
    chapters, readable = workspace.chapter_ids(), 0
    for chapter in chapters:
        with suppress(InputErrors):
            workspace.outline(chapter)
            readable += 1
    title, outlines = book.title.say(book.language), f"{len(chapters):,} outline{'s' if len(chapters) != 1 else ''}"
    if readable < len(chapters):
        said = f"{title}, {readable:,} of {outlines} can be read"
        yield failure("book", said, "run `expand outline check` and mend what it lists")
    elif chapters:
        yield ok("book", f"{title}, {outlines}")
    else:
        remedy = "write one, or make it with `expand outline import DOCUMENT`"
        yield warning("book", "no chapter has an outline yet", remedy)


def _check_folder(root: Path) -> CheckResult:
    """Whether drafts can be written, which takes room on the disk."""
    try:
        with tempfile.TemporaryFile(dir=root) as file:
            file.write(b"\0" * 100_000)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return failure("workspace", f"{root}: the disk is full", "free some space")
        return failure("workspace", f"{root} cannot be written: {error.strerror or error}", "make it writable")
    return ok("workspace", f"{root} can be written")


def _check_ledger(workspace: Workspace) -> Checks:
    """Whether the ledger can be read and written; none is made where there is none. Raises ``ExpandError``."""
    place = workspace.ledger_place
    if (existing := Ledger.read(place)) is None:
        yield ok("ledger", f"{place} has no ledger yet; the first run makes it")
        return
    existing.close()
    with closing(Ledger.open(place, patience_seconds=5.0)) as ledger:
        ledger.prove_writable()
        remaining = ledger.balance("book").remaining_tokens
    left = "" if remaining is None else f", {remaining:,} tokens left of the book's allowance"
    yield ok("ledger", f"{place} can be read and written{left}")
    for pause in pauses_in(place):
        yield warning("pause", str(pause), f"wait, or lift it with `expand ledger resume {shlex.quote(pause.model)}`")


# --- a live request, and all of it -------------------------------------------------------------

CHAPTER, SECTION = "doctor", 0
OUTPUT_TOKENS = 24
"""Room for one line; a model's reasoning comes on top."""
PATIENCE_SECONDS = 120.0
_MESSAGES = (
    Message(role="system", content="You answer in a few words."),  # as every request of a chapter has one
    Message(role="user", content="Say in a few words that you can be reached. Write 1 lines."),
)


async def _send_live_request(workspace: Workspace, book: Book, settings: Settings, author: Author) -> CheckResult:
    """Buys one answer, afresh each time, and reports what came and what it cost. Raises ``ExpandError``."""
    began = time.monotonic()
    with open_ledger(workspace, book) as (ledger, run):
        setup = model_setup_for(workspace, settings, ledger=ledger)
        profile, price = setup.profile, setup.price
        request = Request(
            model=profile.name,
            messages=_MESSAGES,
            max_output_tokens=min(profile.max_output_tokens, profile.reasoning_tokens + OUTPUT_TOKENS),
            parameters=profile.parameters,
            edition=ledger.raise_edition(CHAPTER, SECTION),
        )
        order = Orders(setup, RunOptions(language=book.language, unpriced=True), run.id).order(
            request,
            Address(chapter=CHAPTER, section=SECTION, purpose="draft"),
            question=(CHAPTER, request.edition),
            estimate=setup.counter.count_messages(_MESSAGES) + 40,  # what servers put around so short a prompt
        )
        order = replace(order, prompt_estimate=0)  # so short a prompt says nothing about the estimates of real ones
        client = BudgetedClient(ledger=ledger, author=author, retry=RetryPolicy(max_attempts=1))
        # Ends the wait for a rate limit; a request that was sent is waited for.
        timer = asyncio.get_running_loop().call_later(PATIENCE_SECONDS, client.stop)
        try:
            bought = await client.buy(order)
        finally:
            timer.cancel()
            await client.drain()
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


async def run_checks(
    start: Path,
    *,
    given: Path | None = None,
    environment: Mapping[str, str],
    overrides: Overrides | None = None,
    live: bool = False,
    ask: Callable[[Settings], Awaitable[EndpointReply]] = ask_endpoint,
    author: Author | None = None,
) -> DoctorReport:
    """Checks everything. ``live`` sends one small request, unless a check has failed before.

    ``author`` takes the place of the one that the settings mean, and ``ask`` is the first to send anything. Of a
    workspace that is not trusted, nothing that it names is contacted."""
    found = [*check_machine(environment)]
    try:
        workspace = find_workspace(start, given=given, environment=environment)
        path = workspace.settings_path
        settings = read_settings(path, environment=environment, overrides=overrides, trusted=workspace.trusted)
        profile = profile_of(workspace, settings)
    except ExpandError as error:
        return DoctorReport((*found, *from_error("settings", error)))
    base = f" at {settings.base_url}" if settings.base_url else ""
    found += [ok("settings", f"{path}: {settings.model}{base}"), *_check_provider(settings)]
    book = None
    try:
        book = workspace.book()
        found += _check_book(workspace, book)
    except ExpandError as error:
        found += from_error("book", error)
    key = [*checked("key", _check_key(settings, path))]
    found += key
    if settings.embedded:
        found += checked("endpoint", _check_embedded(settings))
    elif key[0].status == "ok":
        found += _check_endpoint(settings, await ask(settings))
    for one in settings.others.values():
        found += checked("model", _check_other_model(settings, one, path))
    price = price_for(settings.model, profile, settings.base_url)
    found += [_check_profile(settings, profile), _check_price(settings.model, price, book)]
    found.append(_check_folder(workspace.root))
    found += checked("ledger", _check_ledger(workspace))
    if live and (book is None or any(one.status == "failure" for one in found)):
        found.append(note("live", "nothing was sent", "mend what has failed above first"))
    elif live and book is not None:
        async with author_for(settings, profile) as meant:
            try:
                found.append(await _send_live_request(workspace, book, settings, author or meant))
            except ExpandError as error:
                found += from_error("live", error)
            asked = "the provider refused the request as the settings have it, and was asked another way"
            found += [
                warning("request", asked, f"write into expand.toml: {line}") for line in meant.advice(profile.name)
            ]
    return DoctorReport(tuple(found))
