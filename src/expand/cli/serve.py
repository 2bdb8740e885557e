"""``expand serve``: a page of the book on this machine, and the run of one chapter that a person decides on.

What holds: it listens on 127.0.0.1 alone. A request counts only with the token that was printed at the start, with this
server's own Host, and with no Origin but this server's. Every tab shows one state, which holds no key, and whatever was
decided stands in the workspace: a server that is killed loses nothing. The source document is never touched.
"""

import asyncio
import hmac
import json
import secrets
import threading
import webbrowser
from collections.abc import Mapping
from contextlib import closing, suppress
from dataclasses import asdict, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Annotated, Any

import typer

from expand.api import expanding, review
from expand.cli import options
from expand.cli.run_command import note_author, stop_on_signals
from expand.document.draft import text_hash
from expand.drafting.approval import Decision, Question
from expand.drafting.draft_state import approved
from expand.drafting.events import Event, Notice, SectionDone, SectionGrew, SectionStarted
from expand.drafting.model_setup import other_roles
from expand.drafting.results import balance_json, finding_json
from expand.drafting.run import Run
from expand.drafting.run_options import RunOptions
from expand.errors import ExpandError, InputError
from expand.ledger import AttemptEvent, Ledger
from expand.paths import DATA
from expand.redaction import printable, visible
from expand.reports.data import figures
from expand.workspace import Workspace

MOST_BYTES = 64 * 1024
"""The longest body of a request that is read."""
MOST_NOTICES = 20
FILES = {
    "/": ("page.html", "text/html"),
    "/page.js": ("page.js", "text/javascript"),
    "/page.css": ("page.css", "text/css"),
    "/icon.svg": ("icon.svg", "image/svg+xml"),
}
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


def serve(
    place: Workspace,
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="By default any that is free.")] = 0,
    open_page: Annotated[bool, typer.Option("--open/--no-open", help="Open the page in a browser.")] = False,
    language: options.Language = None,
    *,
    buying: options.Buying,
) -> None:
    """Show the book on a live page: run, watch, decide on each section."""
    given = RunOptions(language=language or place.book().language, **buying._asdict())
    settings = given.settings(place)
    note_author(settings, *other_roles(place, settings, given))
    asyncio.run(_serve(place, given, port, open_page=open_page))
    raise typer.Exit(130)


async def _serve(workspace: Workspace, given: RunOptions, port: int, *, open_page: bool) -> None:
    book = LiveBook(workspace, given)
    server = PageServer(book, port)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    stop_on_signals(book.stop)
    typer.echo(server.url)
    if open_page:
        webbrowser.open(server.url)
    await book.finished()
    server.shutdown()


class LiveBook:
    """A book as every tab shows it, and its one run. Changed in one event loop, read by any thread."""

    def __init__(self, workspace: Workspace, options: RunOptions) -> None:
        self._ended = asyncio.Event()
        self._workspace = workspace
        self._options = options
        self._run: Run | None = None
        self._task: asyncio.Task[None] | None = None
        self._answer: asyncio.Future[Decision] | None = None
        self._questions = 0
        self._before = ""
        """What has arrived of the section before the answer that is arriving."""
        self._state: dict[str, Any] = {"chapter": "", "running": False, "stopping": False, "notices": []}
        self.shown = (0, "{}")
        """The number of the state that is shown, and the state as JSON."""
        self._begin(0)
        self._look()

    def stop(self, *, server: bool = True) -> None:
        """Begin nothing new, and let what is in flight arrive; called again, that is left unknown. The ``server`` ends
        with the run."""
        if server:
            self._ended.set()
        if self._run is not None:
            self._run.stop()
            self._state["stopping"] = True
            self._publish()

    async def finished(self) -> None:
        """Wait until the server is to end and its run has ended."""
        await self._ended.wait()
        if self._task is not None:
            await self._task

    async def act(self, action: str, given: Mapping[str, Any]) -> str:
        """Do what a tab wants; why it cannot be done, "" where it is."""
        state, chapter, note = self._state, given.get("chapter"), visible(str(given.get("note", "")).strip())
        offered = [one for one in state["question"]["choices"] if one == given.get("choice")] if self._answer else []
        if action == "/stop":
            self.stop(server=False)
        elif action == "/decide":
            if self._answer is None or self._answer.done() or given.get("id") != self._questions or not offered:
                return "it was decided already"
            if offered == ["back"] and not note:
                return "say what is to change"
            self._answer.set_result(Decision(choice=offered[0], note=note))
        elif action in ("/show", "/start") and chapter in self._workspace.chapter_ids():
            budget = given.get("budget")
            if state["running"] or self._ended.is_set():
                return "a run is under way"
            if budget is not None and (type(budget) is not int or budget < 0):
                return "the budget is a number of tokens"
            most = min((one for one in (budget, self._options.budget) if one is not None), default=None)
            wanted = replace(self._options, budget=most, decide=self._decide)
            if action == "/start":
                self._run = expanding(self._workspace, chapter, wanted, on_event=self._show)
                self._task = asyncio.create_task(self._work(self._run))
            state |= {"chapter": chapter, "running": action == "/start", "notices": []}
            self._begin(0)
            self._look()
        else:
            return "there is no such thing to do"
        return ""

    async def _work(self, run: Run) -> None:
        try:
            result = await run.complete()
            said = [result.stopped_by, *result.problems, *(refused.message for refused in result.refused)]
            self._state["notices"] += dict.fromkeys(filter(None, said))
        except Exception as error:
            self._state["notices"] += [str(error) or type(error).__name__]
            if not isinstance(error, ExpandError):
                raise
        finally:
            self._run = None
            self._state |= {"running": False, "stopping": False}
            with suppress(ExpandError):  # then the page goes on showing what was known
                self._look()
            self._publish()

    async def _decide(self, question: Question) -> Decision:
        self._questions += 1
        shown = asdict(question) | {"findings": [finding_json(one) for one in question.findings]}
        choices = [choice for choice in question.choices if choice != "edit"]
        self._begin(question.section)
        self._state["question"] = shown | {"id": self._questions, "choices": choices}
        self._answer = asyncio.get_running_loop().create_future()
        self._publish()
        try:
            return await self._answer
        finally:
            self._answer = None
            self._begin(question.section)
            self._publish()

    def _begin(self, number: int) -> None:
        self._before = ""
        self._state |= {"section": number, "text": "", "question": None}

    def _publish(self) -> None:
        self.shown = (self.shown[0] + 1, printable(json.dumps(self._state, ensure_ascii=False)))

    def _look(self) -> None:
        """Take in what the workspace says by now. A section has its ``extent`` of the ``target``, in its unit."""
        data, chapter, language = figures(self._workspace, priced=False), self._state["chapter"], self._options.language
        drafted, sections = self._drafted(chapter) if chapter else {}, dict[int, dict[str, Any]]()
        for one in self._workspace.outline(chapter).sections if chapter else ():
            target, unit = one.goal(language or data.book.language)
            stated = {"title": one.title.say(language), "planned": one.lines, "target": target, "unit": unit}
            bare = {"lines": 0, "extent": 0, "findings": [], "text": "", "approved": False}
            sections[one.number] = bare | stated | drafted.get(one.number, {})
        with suppress(InputError):  # there is no draft yet
            for done in review(self._workspace, chapter, language=language).sections if chapter else ():
                found = [finding_json(finding) for finding in done.findings]
                sections[done.number] |= {"lines": done.lines, "extent": done.counted, "findings": found}
        self._state |= {
            "title": data.book.title.say(language),
            "budget": balance_json(data.balance),
            "sections": sections,
            "chapters": [
                {"id": c.id, "title": c.title.say(language), "lines": c.available_lines, "target": c.outlined}
                for c in data.chapters
                if c.outlined is not None
            ],
        }
        self._publish()

    def _drafted(self, chapter: str) -> dict[int, dict[str, Any]]:
        draft = self._workspace.draft(self._workspace.book().draft_name(chapter, self._options.language))
        taken, found = approved(self._workspace, chapter), draft.sections if draft else {}
        return {number: {"text": text, "approved": text_hash(text) in taken} for number, text in found.items()}

    def _show(self, event: Event) -> None:
        state = self._state
        match event:
            case SectionStarted(section=number):
                self._begin(number)
            case SectionGrew(section=number, lines=lines):
                if event.streaming:
                    state["text"] = self._before + event.text
                else:
                    self._before = state["text"] + "\n\n" * bool(state["text"])
                grown = state["sections"][number]
                grown |= {"lines": lines, "extent": lines * grown["target"] // max(1, grown["planned"])}
            case SectionDone(chapter=chapter, section=number, lines=lines):
                done = state["sections"][number]
                extent = lines if done["unit"] == "lines" else event.counted
                done |= {"lines": lines, "extent": extent, **self._drafted(chapter).get(number, {})}
            case AttemptEvent():
                if (ledger := Ledger.read(self._workspace.ledger_place)) is not None:
                    with closing(ledger):
                        state["budget"] = balance_json(ledger.balance("book"))
            case Notice(message=message):
                state["notices"] = [*state["notices"], message][-MOST_NOTICES:]
        self._publish()


class PageServer(ThreadingHTTPServer):
    """Serves the page of a book on loopback. Raises ``InputError`` where the port cannot be used."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, book: LiveBook, port: int) -> None:
        self.book = book
        self.loop = asyncio.get_running_loop()
        self.token = secrets.token_urlsafe(32)
        try:
            super().__init__(("127.0.0.1", port), _Request)
        except OSError as error:
            raise InputError(f"port {port} cannot be used: {error.strerror}", remedy="give another --port") from error
        self.hosts = [f"{name}:{self.server_port}" for name in ("127.0.0.1", "localhost")]
        self.cookie = f"expand-{self.server_port}"  # cookies are shared by all ports
        self.url = f"http://{self.hosts[0]}/?token={self.token}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of a tab that went away."""


class _Request(BaseHTTPRequestHandler):
    server: PageServer
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "expand", ""
    timeout = 15.0
    """Seconds that a request may take to arrive."""

    def log_message(self, *_: Any, **__: Any) -> None:
        """Keep the token out of logs."""

    def do_GET(self) -> None:
        path, _, query = self.path.partition("?")
        if self._is_from_elsewhere():
            self._send(403, "this server answers its own page only")
        elif path == "/" and self._fits(query.removeprefix("token=")):
            cookie = f"{self.server.cookie}={self.server.token}; Path=/; HttpOnly; SameSite=Strict"
            self._send(303, "", Location="/", **{"Set-Cookie": cookie})
        elif not self._has_token():
            self._send(403, "open the address that `expand serve` has printed")
        elif path == "/state":
            number, shown = self.server.book.shown
            known = self.headers.get("If-None-Match") == f'"{number}"'  # a tab asks twice a second
            self._send(304 if known else 200, "" if known else shown, "application/json", ETag=f'"{number}"')
        elif path in FILES:
            name, kind = FILES[path]
            self._send(200, (DATA / "page" / name).read_text(encoding="utf-8"), kind)
        else:
            self._send(404, "there is no such page")

    def do_POST(self) -> None:
        self.close_connection = True  # what is not read of a body would be taken for the next request
        length = self.headers.get("Content-Length", "")
        if self._is_from_elsewhere(origin=None) or not self._has_token():
            self._send(403, "this server answers its own page only")
        elif self.headers.get_content_type() != "application/json" or not length.isdecimal():
            self._send(415, "send JSON, and its length")
        elif len(length) > 9 or int(length) > MOST_BYTES:
            self._send(413, "too long")
        else:
            try:
                acting = self.server.book.act(self.path, dict(json.loads(self.rfile.read(int(length)))))
                why = asyncio.run_coroutine_threadsafe(acting, self.server.loop).result()
            except (ExpandError, ValueError, TypeError, RecursionError) as error:
                why = str(error) or "not a JSON object"
            self._send(409 if why else 200, why)

    def _is_from_elsewhere(self, origin: str | None = "") -> bool:
        """Whether the request came by a name that another site has pointed here, or from another site's page. Without
        an Origin it came from none, where ``origin`` is ""."""
        hosts, origins = self.headers.get_all("Host", []), self.headers.get_all("Origin", [origin])
        own = [*(f"http://{host}" for host in self.server.hosts), ""]
        return len(hosts) != 1 or len(origins) != 1 or hosts[0] not in self.server.hosts or origins[0] not in own

    def _has_token(self) -> bool:
        pairs = (part.strip().partition("=") for part in self.headers.get("Cookie", "").split(";"))
        return any(name == self.server.cookie and self._fits(value) for name, _, value in pairs)

    def _fits(self, token: str) -> bool:
        return hmac.compare_digest(token.encode(), self.server.token.encode())

    def _send(self, status: int, text: str, kind: str = "text/plain", **more: str) -> None:
        body = printable(text).encode()
        length = {} if status == 304 else {"Content-Length": str(len(body))}
        self.send_response(status)
        for name, value in {**HEADERS, "Content-Type": f"{kind}; charset=utf-8", **length, **more}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
