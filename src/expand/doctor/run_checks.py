"""Runs all checks, in the order in which a reader mends what they find."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from expand.doctor import model_checks
from expand.doctor.check_result import CheckResult, from_error, from_errors, note, ok, warning
from expand.doctor.environment import Terminal, check_environment
from expand.doctor.live_request import send_live_request
from expand.doctor.model_checks import EndpointReply, ask_endpoint
from expand.doctor.storage import check_storage
from expand.drafting.model_setup import author_for, profile_of
from expand.errors import ExpandError
from expand.llm.pricing import price_for
from expand.llm.profile import is_known
from expand.llm.tokens import TokenCounter
from expand.llm.types import Author
from expand.outline import Book
from expand.settings import Overrides, Settings, read_settings
from expand.workspace import Workspace, find_workspace


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
    workspace that is not trusted, nothing that it names is contacted.
    """
    found = list(check_environment(environment, terminal))
    try:
        workspace = find_workspace(start, given=given, environment=environment)
        settings = read_settings(
            workspace.settings_path, environment=environment, overrides=overrides, trusted=workspace.trusted
        )
        profile = profile_of(workspace, settings)
    except ExpandError as error:
        return DoctorReport(findings=(*found, *from_errors("settings", error)))
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
        found.append(from_error("tokenizer", error))
    found += check_storage(workspace, free_bytes=free_bytes)
    if live and (book is None or counter is None or any(one.status == "failure" for one in found)):
        found.append(note("live", "nothing was sent", "mend what has failed above first"))
    elif live and book is not None and counter is not None:
        async with author_for(settings, profile) as meant:
            result = await send_live_request(
                workspace, book, author=author or meant, profile=profile, counter=counter, price=price
            )
            found.append(result)
            found += model_checks.check_mends(meant.advice(profile.name))
    return DoctorReport(findings=tuple(found))


def _book(workspace: Workspace, found: list[CheckResult]) -> Book | None:
    try:
        book = workspace.book()
    except ExpandError as error:
        found += from_errors("book", error)
        return None
    count = len(workspace.chapter_ids())
    if count:
        found.append(ok("book", f"{book.title.say(book.language)}, {count} outline{'s' if count != 1 else ''}"))
    else:
        remedy = "write one, or make it with `expand outline import DOCUMENT`"
        found.append(warning("book", "no chapter has an outline yet", remedy))
    return book
