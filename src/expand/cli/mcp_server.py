"""The MCP server: what the library does, as tools that another model calls.

What holds: no tool writes a source document. Whatever is drafted is charged to one budget, which the person who starts
the server sets and no tool changes. Only the protocol goes to stdout: the SDK points file descriptor 1 at stderr. A
call that is cancelled, or whose client is gone, stops its run in good order.
"""

import asyncio
import json
import os
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, replace
from functools import partial
from typing import Annotated, Any

from mcp.server import MCPServer
from mcp.server.mcpserver import Context
from mcp.server.mcpserver.exceptions import ToolError
from mcp.types import CallToolResult, TextContent, ToolAnnotations
from pydantic import Field

from expand import __version__, api
from expand.cli.output import warn
from expand.cli.progress import RunProgress
from expand.cli.run_command import show_notice, stop_on_signals
from expand.cli.run_output import review_markdown
from expand.doctor.outline_check import as_json as outline_json
from expand.drafting.dry_run import dry_run_json
from expand.drafting.events import Event
from expand.drafting.results import RunResult, chapter_json
from expand.drafting.run import Run
from expand.drafting.run_options import RunOptions
from expand.errors import ExpandError, InputError, InputErrors, UntrustedError
from expand.workspace import Workspace

REPORTS: tuple[api.ReportName, ...] = ("status", "budget")
PROGRESS_SECONDS = 0.25
"""How often a client is told how far a section is."""
INSTRUCTIONS = """\
Chapters of a book, drafted from outlines (outlines/<chapter>.yaml) by a model of the user's. Run outline_check and \
dry_run before you draft. draft_section spends the user's tokens, within a budget that only the user sets; what is \
bought already costs nothing again. Drafts are files in drafts/. Only the user accepts a draft, with `expand accept`; \
diff shows what that would change."""

Chapter = Annotated[str, Field(description='Its id, as text: "03".')]
Section = Annotated[int, Field(ge=1, description="Its number in the chapter, from 1.")]
Language = Annotated[str | None, Field(description="One of the book's languages; null for its own.")]
READS = ToolAnnotations(read_only_hint=True, open_world_hint=False)
DRAFTS = ToolAnnotations(read_only_hint=False, destructive_hint=False, idempotent_hint=True, open_world_hint=True)
Progress = Callable[[float, float, str], Awaitable[None]]


class Server(MCPServer[Any]):
    """The SDK's server; the tool's own errors reach the client whole, with file, line and remedy."""

    async def call_tool(self, *given: Any, **named: Any) -> Any:
        """The result of a tool, or what is wrong."""
        try:
            return await super().call_tool(*given, **named)
        except ToolError as error:
            if isinstance(error.__cause__, ExpandError):
                return failed(error.__cause__)
            raise


def answered(text: str, data: dict[str, Any], *, error: bool = False) -> CallToolResult:
    """A result: ``text`` for models, ``data`` for programs."""
    return CallToolResult(content=[TextContent(type="text", text=text)], structured_content=data, is_error=error)


def failed(error: ExpandError) -> CallToolResult:
    """An error as a result: the exit code that the command line ends with, and each problem with its place."""
    problems = []
    for one in error.errors if isinstance(error, InputErrors) else (error,):
        what, remedy, place = (one.what, one.remedy, one.place) if isinstance(one, InputError) else (str(one), "", None)
        file, line = (str(place.path), place.line) if place else (None, None)
        problems.append({"message": what, "remedy": remedy, "file": file, "line": line})
    refused = {"refused": "trust"} if isinstance(error, UntrustedError) else {}
    return answered(str(error), {**refused, "exit_code": error.exit_code, "problems": problems}, error=True)


class Drafting:
    """Drafts sections, one call after the other, under one budget for all of them: a call's run has as its limit in the
    ledger what the calls before it left, so that at no time more is reserved than the budget holds."""

    def __init__(self, workspace: Workspace, options: RunOptions, budget: int | None) -> None:
        """``budget`` in tokens; None: nothing can be drafted."""
        self._workspace, self._options = workspace, options
        self._run: Run | None = None
        self._task: asyncio.Task[RunResult] | None = None
        self.limit, self.used = budget, 0

    @property
    def balance(self) -> dict[str, int | None]:
        """In tokens."""
        return {"limit": self.limit, "used": self.used, "remaining": self.limit and self.limit - self.used}

    async def draft(self, chapter: str, section: int, language: str | None, tell: Progress) -> RunResult:
        """Draft one section. Where this is cancelled, the run stops: what is in flight arrives and is kept."""
        if self.limit is None:
            how = "its user can start it with `expand mcp --budget TOKENS`"
            raise InputError("this server may not draft", remedy=how)
        progress = RunProgress()

        def on_event(event: Event) -> None:
            progress.take(event)
            show_notice(event)

        await self.ended()
        options = replace(self._options, sections=frozenset({section}), budget=max(0, self.limit - self.used))
        self._run = run = api.expanding(self._workspace, chapter, options, language=language, on_event=on_event)
        # A task of its own: the SDK repeats a cancellation until the tool has ended, and a run that is stopped twice
        # leaves what is in flight behind.
        self._task = task = asyncio.create_task(self._complete(run))
        told = 0
        try:
            while not task.done():
                await asyncio.wait([task], timeout=PROGRESS_SECONDS)
                if progress.done > told:  # progress must grow, and a repair takes lines away
                    told = progress.done
                    await tell(told, progress.total, f"{progress.extent}, {progress.tokens:,} tokens")
        except BaseException:
            if self._run is run:
                self.stop()
            raise
        return task.result()

    async def _complete(self, run: Run) -> RunResult:
        try:
            return await run.complete()
        finally:
            self.used += run.charged_tokens

    def stop(self) -> None:
        """Stop what is being drafted, once what is in flight has arrived."""
        run, self._run = self._run, None
        if run is not None:
            run.stop()

    async def ended(self) -> None:
        """Wait for what is being drafted."""
        while self._task is not None and not self._task.done():
            await asyncio.wait([self._task])


def drafted(result: RunResult, balance: Mapping[str, int | None]) -> CallToolResult:
    """What drafting a section came to: the object that ``expand chapter --json`` prints, and the server's budget."""
    refusals = [{**(asdict(one.shortfall) if one.shortfall else {}), "message": one.message} for one in result.refused]
    problems = [{"message": text} for text in (result.stopped_by, *result.problems) if text]
    lines = [f"{c.draft}, {one.title}: {one.outcome}, {one.extent}" for c in result.chapters for one in c.sections]
    lines += [one["message"] for one in (*refusals, *problems)]
    lines.append(f"this server's budget: {json.dumps(balance)}")
    told = {"exit_code": result.exit_code, "session": balance, "problems": problems, "refusals": refusals}
    refused = {"refused": "budget"} if refusals else {}
    return answered("\n".join(lines), {**result.as_json(), **told, **refused}, error=bool(result.stopped_by))


def make_server(workspace: Workspace, options: RunOptions, drafting: Drafting) -> Server:
    """The server with its tools: coroutines, so that they share the loop's thread and with it the parsers."""
    server = Server("expand", instructions=INSTRUCTIONS, version=__version__, log_level="WARNING", subscriptions=False)
    asked: dict[str, Any] = {"model": options.model, "base_url": options.base_url}

    @server.tool(annotations=READS)
    async def outline_check(chapters: list[str] | None = None) -> CallToolResult:
        """List what is wrong with settings, book and outlines: file, line, remedy."""
        found = api.check_outlines(workspace, chapters or ())
        return answered("\n".join(map(str, found.findings)) or "no problems", outline_json(found))

    @server.tool(annotations=READS)
    async def dry_run(chapter: Chapter, language: Language = None) -> CallToolResult:
        """Show what drafting a chapter would take, by section: requests, tokens, reservation, cost. Sends nothing."""
        data = dry_run_json(api.dry_run(workspace, chapter, options, language=language))
        return answered(f"the whole chapter: {json.dumps(data['total'])}", data)

    @server.tool(annotations=READS)
    async def prompt_show(chapter: Chapter, section: Section, language: Language = None) -> CallToolResult:
        """Show the messages of a section's first request, word for word, with token counts. Sends nothing."""
        found = api.first_request(workspace, chapter, section, language=language, **asked)
        messages = zip(found.order.request.messages, found.counts, strict=True)
        return answered("\n".join(f"--- {m.role} ({n:,} tokens)\n{m.content}" for m, n in messages), found.as_json())

    @server.tool(annotations=DRAFTS)
    async def draft_section(
        chapter: Chapter, section: Section, context: Context[Any, Any], language: Language = None
    ) -> CallToolResult:
        """Draft a section into drafts/ for tokens of the user's budget; one that is current costs nothing. `refused` is
        "budget" where that does not reach: what was bought is kept, and only the user can give more."""
        result = await drafting.draft(chapter, section, language, context.report_progress)
        return drafted(result, drafting.balance)

    @server.tool(annotations=READS)
    async def review(chapter: Chapter, language: Language = None, code: bool = False) -> CallToolResult:
        """Check a draft against its outline: findings with lines and remedies; with code, compile its code blocks."""
        check = partial(api.review, workspace, chapter, language=language, code=code, **asked)
        found = await asyncio.to_thread(check) if code else check()  # toolchains take minutes, and answers arrive
        return answered(review_markdown(found, workspace), chapter_json(found))

    @server.tool(annotations=READS)
    async def diff(chapter: Chapter, sections: list[int] | None = None, language: Language = None) -> CallToolResult:
        """Show what accepting a draft, or some of its sections, would change; nothing is changed."""
        found = api.diff(workspace, chapter, language=language, sections=sections or ())
        return answered("".join(one.diff for one in found.accepted) or "no difference", found.as_json())

    @server.tool(annotations=READS)
    async def status() -> CallToolResult:
        """Show lines against targets, what is left to do, and where the book's and this server's budgets stand."""
        found, spent = (json.loads(api.render_report(workspace, name, form="json", **asked)) for name in REPORTS)
        lines = {name: found[name] for name in ("finished_chapters", "pending_chapters", "totals_overall", "todo")}
        balance = f"this server's budget: {json.dumps(drafting.balance)}"
        return answered("\n".join([*found["todo"], balance]), {**lines, "budget": spent, "session": drafting.balance})

    return server


async def serve(workspace: Workspace, options: RunOptions, budget: int | None) -> None:
    """Serve a client on stdin and stdout until it is gone, and what is in flight has arrived."""
    drafting = Drafting(workspace, options, budget)
    ending: list[asyncio.Task[None]] = []

    async def end() -> None:
        await drafting.ended()
        os._exit(130)  # a thread of the SDK's waits for a line of stdin, and `sys.exit` would wait for it

    def on_signal() -> None:
        if ending:
            os._exit(130)
        drafting.stop()
        ending.append(asyncio.create_task(end()))

    stop_on_signals(on_signal)
    try:
        await make_server(workspace, options, drafting).run_stdio_async()
    except* BrokenPipeError:
        warn("the client reads no more")
    finally:
        drafting.stop()
        await drafting.ended()
