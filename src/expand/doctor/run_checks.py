"""The whole examination, in the order in which a reader mends what it finds."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from expand.doctor.check_result import CheckResult, from_error, from_errors, note, ok, warning
from expand.doctor.endpoint import Endpoint, ask_endpoint
from expand.doctor.environment import Terminal, check_environment
from expand.doctor.live_request import try_live
from expand.doctor.model_checks import (
    embedded_finding,
    endpoint_findings,
    key_finding,
    price_finding,
    profile_findings,
    provider_findings,
    tokenizer_finding,
)
from expand.doctor.storage import storage_findings
from expand.drafting.model_setup import profile_of
from expand.drafting.run_context import DeferredAuthor
from expand.errors import ExpandError
from expand.llm.pricing import price_for
from expand.llm.profile import Profile, is_known
from expand.llm.tokens import TokenCounter
from expand.llm.types import Author
from expand.outline import Book
from expand.settings import Overrides, Settings, read_settings
from expand.workspace import Workspace, find_workspace


@dataclass(frozen=True, kw_only=True, slots=True)
class DoctorReport:
    """All findings, in order."""

    findings: tuple[CheckResult, ...]

    @property
    def exit_code(self) -> int:
        """0, or 2 when the user has something to mend, else 4 when the author fails."""
        codes = {finding.exit_code for finding in self.findings if finding.status == "failure"}
        return min(codes, default=0)


async def run_checks(
    start: Path,
    *,
    given: Path | None = None,
    environment: Mapping[str, str],
    overrides: Overrides | None = None,
    terminal: Terminal,
    live: bool = False,
    ask: Callable[[Settings], Awaitable[Endpoint]] = ask_endpoint,
    author: Author | None = None,
    free_bytes: Callable[[Path], int] | None = None,
) -> DoctorReport:
    """Looks at everything. ``live`` spends one small request, unless something has failed before.

    ``author`` takes the place of the one that the settings mean.
    """
    findings = list(check_environment(environment, terminal))
    try:
        workspace = find_workspace(start, given=given)
        settings = read_settings(workspace.settings_path, environment=environment, overrides=overrides)
        profile = profile_of(workspace, settings)
    except ExpandError as error:
        return DoctorReport(findings=(*findings, *from_errors("settings", error)))
    base = f" at {settings.base_url}" if settings.base_url else ""
    findings.append(ok("settings", f"{workspace.settings_path}: {settings.model}{base}"))
    findings += provider_findings(settings)
    book = _book(workspace, findings)
    key = key_finding(settings, workspace.settings_path)
    findings.append(key)
    if settings.embedded:
        findings.append(embedded_finding())
    elif key.status == "ok":
        findings += endpoint_findings(settings, await ask(settings), profile)
    counter = _model(findings, settings, profile, book)
    findings += storage_findings(workspace, free_bytes=free_bytes)
    if live:
        findings.append(await _live(workspace, settings, profile, book, counter, findings, author))
    return DoctorReport(findings=tuple(findings))


def _book(workspace: Workspace, findings: list[CheckResult]) -> Book | None:
    try:
        book = workspace.book()
    except ExpandError as error:
        findings += from_errors("book", error)
        return None
    count = len(workspace.chapter_ids())
    if count:
        findings.append(ok("book", f"{book.title.say(book.language)}, {count} outlines"))
    else:
        remedy = "write one, or make it with `expand outline import DOCUMENT`"
        findings.append(warning("book", "no chapter has an outline yet", remedy))
    return book


def _model(findings: list[CheckResult], settings: Settings, profile: Profile, book: Book | None) -> TokenCounter | None:
    """What is known of the model; None when its tokenizer is not."""
    findings += profile_findings(profile, book, known=is_known(settings.model, settings.models))
    price = price_for(settings.model, profile, settings.base_url)
    findings.append(price_finding(settings.model, price, book))
    try:
        counter = TokenCounter(profile.known_as, encoding=profile.encoding)
    except ExpandError as error:
        findings.append(from_error("tokenizer", error))
        return None
    findings.append(tokenizer_finding(counter))
    return counter


async def _live(
    workspace: Workspace,
    settings: Settings,
    profile: Profile,
    book: Book | None,
    counter: TokenCounter | None,
    findings: list[CheckResult],
    author: Author | None,
) -> CheckResult:
    if book is None or counter is None or any(f.status == "failure" for f in findings):
        return note("live", "nothing was sent", "mend what has failed above first")
    async with DeferredAuthor(settings, profile) as meant:
        return await try_live(
            workspace,
            book,
            author=author or meant,
            profile=profile,
            counter=counter,
            price=price_for(settings.model, profile, settings.base_url),
        )
