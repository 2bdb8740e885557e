"""The live page: who is answered, what every tab sees, and that nothing is lost with the server."""

from __future__ import annotations

import http.client
import itertools
import json
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from browser import CHROMIUM, Tab, browser
from scripted_server import ScriptedServer
from workspaces import SOURCE, draft_of, expand, finished, small, start

from expand import Workspace
from expand.cli import serve as live_page
from expand.cli.serve import MOST_BYTES, LiveBook
from expand.drafting.run_options import RunOptions


class Page:
    """A running ``expand serve``, and requests to it as a browser makes them."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        self.process = process
        self.url = process.stdout.readline().strip()
        assert self.url, process.communicate()
        self.port = int(self.url.split(":")[2].split("/")[0])
        self.token = self.url.partition("?token=")[2]
        self.origin = f"http://127.0.0.1:{self.port}"
        self.cookie = f"expand-{self.port}={self.token}"

    def ask(
        self, method: str, path: str, body: bytes | None = None, *, cookie: bool = True, **headers: str | None
    ) -> tuple[int, str, dict[str, str]]:
        given: dict[str, str | None] = {"Cookie": self.cookie if cookie else None}
        if method == "POST":
            given |= {"Origin": self.origin, "Content-Type": "application/json"}
        given |= {name.replace("_", "-"): value for name, value in headers.items()}
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        connection.putrequest(method, path, skip_host="Host" in given)
        if body is not None and "Content-Length" not in given:
            given["Content-Length"] = str(len(body))
        for name, value in given.items():
            if value is not None:
                connection.putheader(name, value)
        connection.endheaders(body)
        answer = connection.getresponse()
        said = answer.read().decode()
        connection.close()
        return answer.status, said, dict(answer.headers)

    def act(self, action: str, **given: Any) -> tuple[int, str]:
        status, said, _ = self.ask("POST", action, json.dumps(given).encode())
        return status, said

    def states(self) -> Iterator[dict[str, Any]]:
        """The states as one tab gets them."""
        seen = None
        while True:
            try:
                status, said, headers = self.ask("GET", "/state", If_None_Match=seen)
            except OSError:
                return
            assert status in (200, 304)
            if status == 200:
                seen = headers["ETag"]
                yield json.loads(said)
            time.sleep(0.02)

    def until(self, holds: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
        end = time.monotonic() + 40
        for state in self.states():
            if holds(state):
                return state
            assert time.monotonic() < end, state
        raise AssertionError("the server has gone")

    def asked(self, section: int) -> dict[str, Any]:
        """The question about a section, once it is put."""
        state = self.until(lambda state: (state["question"] or {}).get("section") == section)
        question: dict[str, Any] = state["question"]
        return question

    def end(self) -> int:
        self.process.send_signal(signal.SIGINT)
        return finished(self.process).code


@contextmanager
def serving(place: Path, *arguments: str) -> Iterator[Page]:
    process = start(place, "serve", *arguments)
    try:
        yield Page(process)
    finally:
        process.kill()
        process.communicate()


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return small(tmp_path / "book")


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with ScriptedServer() as running:
        yield running


@pytest.fixture
def page(place: Path, server: ScriptedServer) -> Iterator[Page]:
    with serving(place, "--base-url", server.base_url) as running:
        yield running


@pytest.fixture(scope="module")
def idle(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """A page of which nothing is asked but what it refuses."""
    with serving(small(tmp_path_factory.mktemp("idle") / "book"), "--base-url", "http://127.0.0.1:9/v1") as running:
        yield running


# --- who is answered ---------------------------------------------------------------------------------


def test_the_token_opens_the_page_once_and_then_the_cookie_does(idle: Page) -> None:
    status, _, headers = idle.ask("GET", f"/?token={idle.token}", cookie=False)
    assert (status, headers["Location"]) == (303, "/")
    assert headers["Set-Cookie"] == f"{idle.cookie}; Path=/; HttpOnly; SameSite=Strict"
    status, said, headers = idle.ask("GET", "/")
    assert status == 200
    assert '<script src="/page.js" defer>' in said
    assert "default-src 'self'" in headers["Content-Security-Policy"]
    assert headers["X-Content-Type-Options"] == "nosniff"
    for name in ("/page.js", "/page.css"):
        assert idle.ask("GET", name)[0] == 200
    assert idle.ask("GET", "/icon.svg")[2]["Content-Type"].startswith("image/svg+xml")
    assert idle.ask("GET", "/?token=wrong", cookie=False)[0] == 403


PATHS = ("/", "/page.js", "/state", "/start", "/stop", "/decide", "/show", "/nothing")


@pytest.mark.parametrize("path", PATHS)
def test_nothing_is_said_without_the_token(idle: Page, path: str) -> None:
    for method in ("GET", "POST"):
        body = b"{}" if method == "POST" else None
        assert idle.ask(method, path, body, cookie=False)[0] == 403
        assert idle.ask(method, path, body, Cookie=f"expand-{idle.port}={idle.token[:-1]}x")[0] == 403
        assert idle.ask(method, path, body, Cookie=f"expand-{idle.port + 1}={idle.token}")[0] == 403


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1", "127.0.0.1:1", "localhost.evil.example:{port}", "[::1]:{port}", ""]
)
def test_another_host_is_a_name_that_somebody_pointed_here(idle: Page, host: str) -> None:
    host = host.format(port=idle.port)
    assert idle.ask("GET", "/", Host=host)[0] == 403
    assert idle.ask("POST", "/stop", b"{}", Host=host)[0] == 403
    assert idle.ask("GET", f"/?token={idle.token}", cookie=False, Host=host)[0] == 403


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "https://127.0.0.1:{port}", "http://127.0.0.1:1", ""]
)
def test_another_sites_page_cannot_act(idle: Page, origin: str) -> None:
    origin = origin.format(port=idle.port)
    assert idle.ask("POST", "/start", b'{"chapter": "07"}', Origin=origin)[0] == 403 or origin == ""
    if origin:
        assert idle.ask("GET", "/state", Origin=origin)[0] == 403
    assert idle.ask("POST", "/stop", b"{}", Origin=None)[0] == 403
    assert idle.ask("GET", "/", Origin=idle.origin)[0] == 200
    assert idle.ask("GET", "/", Host=f"localhost:{idle.port}", Origin=f"http://localhost:{idle.port}")[0] == 200


@pytest.mark.parametrize(
    "path",
    ["/../../expand.toml", "/page/../page.js", "/%2e%2e/expand.toml", "//etc/passwd", "/state/..",
     "/page.html", "/data/page/page.js", "/start", "/briefs/07.yaml"],
)  # fmt: skip
def test_no_path_leads_to_a_file(idle: Page, path: str) -> None:
    assert idle.ask("GET", path)[0] == 404


@pytest.mark.parametrize(
    ("length", "status"), [(MOST_BYTES, 409), (MOST_BYTES + 1, 413), (10**12, 413), ("-1", 415), ("many", 415)]
)
def test_a_body_is_read_up_to_its_bound(idle: Page, length: int | str, status: int) -> None:
    body = b'"' + b"x" * (length - 2) + b'"' if length == MOST_BYTES and isinstance(length, int) else b"{}"
    assert idle.ask("POST", "/decide", body, Content_Length=str(length))[0] == status


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", None])
def test_only_json_is_taken(idle: Page, kind: str | None) -> None:
    assert idle.ask("POST", "/stop", b"{}", Content_Type=kind)[0] == 415
    for body in (b"", b"[", b"[]", b"\xff", b"[" * 40_000, b'"text"'):
        assert idle.ask("POST", "/decide", body)[0] == 409


def test_it_listens_on_loopback_alone(idle: Page) -> None:
    table = Path(f"/proc/{idle.process.pid}/net/tcp")
    rows = [line.split() for line in table.read_text().splitlines()][1:]
    listening = {row[1].split(":")[0] for row in rows if row[3] == "0A" and int(row[1].split(":")[1], 16) == idle.port}
    assert listening == {"0100007F"}


def test_a_port_that_is_taken_is_said(place: Path, server: ScriptedServer) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ran = expand(place, "serve", "--port", str(port), "--base-url", server.base_url)
    assert ran.code == 2
    assert f"port {port} cannot be used: " in ran.err


def test_an_untrusted_workspace_is_not_served(place: Path) -> None:
    (place / "expand.toml").write_text('[author]\nbase_url = "http://127.0.0.1:9/v1"\n')
    ran = expand(place, "serve")
    assert (ran.code, ran.out) == (2, "")
    assert "you have not said that you trust this workspace" in ran.err


# --- what every tab sees -------------------------------------------------------------------------------


def test_a_run_from_its_start_to_its_end(place: Path, page: Page, server: ScriptedServer) -> None:
    first = page.until(lambda state: state["chapters"])
    assert [(one["id"], one["target"]) for one in first["chapters"]] == [("07", 100)]
    assert first["budget"] == {"limit": 200_000, "used": 1000, "reserved": 0, "remaining": 199_000}
    assert page.act("/start", chapter="99") == (409, "there is no such thing to do")
    assert page.act("/start", chapter="07", budget=-1) == (409, "the budget is a number of tokens")
    assert page.act("/show", chapter="07")[0] == 200
    assert page.until(lambda state: state["sections"])["sections"]["1"]["title"] == "Signal handling"
    assert page.act("/start", chapter="07", budget=100_000)[0] == 200
    assert page.act("/start", chapter="07") == (409, "a run is under way")

    question = page.asked(1)
    assert question["choices"] == ["take", "back", "skip", "quit"]
    assert question["text"].startswith("## 1. Signal handling")
    assert page.act("/decide", id=question["id"], choice="back", note=" ") == (409, "say what is to change")
    assert page.act("/decide", id=question["id"], choice="edit", text="x")[0] == 409
    assert page.act("/decide", id=question["id"], choice="back", note="Name each signal.")[0] == 200
    again = page.asked(1)
    assert again["text"] != question["text"]
    assert page.act("/decide", id=question["id"], choice="take") == (409, "it was decided already")
    assert page.act("/decide", id=again["id"], choice="take")[0] == 200
    question = page.asked(2)
    assert page.act("/decide", id=question["id"], choice="skip")[0] == 200
    question = page.asked(3)
    assert page.act("/decide", id=question["id"], choice="take")[0] == 200

    done = page.until(lambda state: not state["running"])
    assert [one["approved"] for one in done["sections"].values()] == [True, False, True]
    assert done["budget"]["used"] == 1000 + server.billed_tokens
    assert done["sections"]["1"]["text"] in draft_of(place)
    assert (place / "chapters" / "07_signals.md").read_text() == SOURCE
    assert page.end() == 130


def test_a_brief_and_a_length_that_is_off_are_decided_on_too(place: Path) -> None:
    (place / "briefs").mkdir()
    (place / "briefs" / "07.yaml").write_text("sections:\n- title: Checklist\n  opening: Check this.\n")

    class Long(ScriptedServer):
        def write(self, received: Any) -> tuple[str, str]:
            return "\n".join(f"Sentence {n} of section {received.section}." for n in range(60)), "stop"

    with Long() as server, serving(place, "--base-url", server.base_url) as page:
        page.act("/start", chapter="07")
        brief = page.asked(0)
        assert (brief["path"], brief["title"]) == ("briefs/07.yaml", "brief")
        assert "Check this." in brief["text"]
        page.act("/decide", id=brief["id"], choice="take")
        long = page.asked(1)
        assert long["choices"][-3:] == ["length", "again", "outline"]
        assert [one["kind"] for one in long["findings"] if one["kind"] == "long"] == ["long"]
        page.act("/decide", id=long["id"], choice="length")
        assert (
            "length"
            not in page.until(lambda state: (state["question"] or long)["id"] > long["id"])["question"]["choices"]
        )


def test_the_draft_is_seen_while_it_grows(place: Path) -> None:
    with (
        ScriptedServer(chunk_characters=30, chunk_seconds=0.05) as server,
        serving(place, "--base-url", server.base_url) as page,
    ):
        page.act("/start", chapter="07")
        texts = []
        for state in page.states():
            texts.append(state["text"])
            if state["question"]:
                break
    growing = [text for text in texts if text]
    assert len(set(growing)) > 3
    assert all(later.startswith(earlier.strip()) for earlier, later in itertools.pairwise(growing))


def test_the_commands_budget_bounds_every_run(place: Path, server: ScriptedServer) -> None:
    with serving(place, "--base-url", server.base_url, "--budget", "100") as page:
        page.act("/start", chapter="07", budget=100_000)
        state = page.until(lambda state: state["notices"] and not state["running"])
    assert "this run" in state["notices"][-1] or "run" in state["notices"][-1]
    assert server.requests == []


def test_no_key_is_in_what_a_tab_gets(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key = "sk-very-secret-0123456789"
    monkeypatch.setenv("OPENAI_API_KEY", key)
    monkeypatch.setenv("OTHER_SECRET", "another-secret-0123456789")

    class Telling(ScriptedServer):
        def write(self, received: Any) -> tuple[str, str]:
            text, reason = super().write(received)
            return f"{received.headers['Authorization']} \x1b[31m\n{text}", reason

    with Telling(key=key) as server, serving(place, "--base-url", server.base_url) as page:
        page.act("/start", chapter="07")
        question = page.asked(1)
        page.act("/decide", id=question["id"], choice="take")
        page.asked(2)
        got = [json.dumps(next(page.states())), json.dumps(question)]
        got += [page.ask("GET", path)[1] for path in ("/", "/page.js")]
        page.end()
    assert "[key]" in got[1]
    for text in got:
        assert key not in text
        assert "another-secret" not in text
        assert "\x1b" not in text


@pytest.mark.parametrize("note", ["\ud800 signals", "a\0b", "\u202e\x1b[31m"])
def test_any_note_can_be_sent(page: Page, server: ScriptedServer, note: str) -> None:
    page.act("/start", chapter="07")
    question = page.asked(1)
    assert page.act("/decide", id=question["id"], choice="back", note=note)[0] == 200
    assert page.until(lambda state: (state["question"] or question)["id"] > question["id"])["question"]["section"] == 1
    assert "/revise/" in server.requests[-1].headers["X-Client-Request-Id"]
    assert page.end() == 130


async def test_a_defect_is_shown_and_raised_at_the_end(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken:
        def stop(self) -> None:
            pass

        async def complete(self) -> None:
            raise RuntimeError("a defect")

    monkeypatch.setattr(live_page, "expanding", lambda *_, **__: Broken())
    book = LiveBook(Workspace.open(place), RunOptions(language="en"))
    assert await book.act("/start", {"chapter": "07"}) == ""
    book.stop()
    with pytest.raises(RuntimeError, match="a defect"):
        await book.finished()
    state = json.loads(book.shown[1])
    assert (state["notices"], state["running"]) == (["a defect"], False)


def test_many_connections_at_once_are_taken(idle: Page) -> None:
    begun = time.monotonic()
    opened = [socket.create_connection(("127.0.0.1", idle.port), timeout=10) for _ in range(100)]
    assert idle.ask("GET", "/page.css")[0] == 200
    assert time.monotonic() - begun < 5
    for one in opened:
        one.close()


def test_many_tabs_are_served_at_once(idle: Page) -> None:
    tabs = [idle.states() for _ in range(12)]
    assert all(next(tab)["chapters"] for tab in tabs)


def test_a_tab_gets_a_state_once(idle: Page) -> None:
    status, _, headers = idle.ask("GET", "/state")
    assert status == 200
    status, said, _ = idle.ask("GET", "/state", If_None_Match=headers["ETag"])
    assert (status, said) == (304, "")


def test_a_section_in_words_is_shown_in_words(place: Path, server: ScriptedServer) -> None:
    outline = place / "outlines" / "07.yaml"
    outline.write_text(outline.read_text(encoding="utf-8").replace("lines: 40", "words: 400", 1), encoding="utf-8")
    with serving(place, "--base-url", server.base_url) as page:
        page.act("/start", chapter="07")
        question = page.asked(1)
        assert page.act("/decide", id=question["id"], choice="take")[0] == 200
        page.asked(2)
        first = next(page.states())["sections"]["1"]
        assert page.act("/stop")[0] == 200
        again = page.until(lambda state: not state["running"])["sections"]["1"]
    assert (first["target"], first["unit"]) == (400, "words")
    assert first["extent"] == again["extent"] > first["lines"]


# --- the end of a server ---------------------------------------------------------------------------------


def test_a_killed_server_loses_nothing(place: Path, server: ScriptedServer) -> None:
    with serving(place, "--base-url", server.base_url) as page:
        page.act("/start", chapter="07")
        page.act("/decide", id=page.asked(1)["id"], choice="take")
        second = page.asked(2)
        page.process.kill()
        page.process.wait()
    bought = len(server.requests)
    with serving(place, "--base-url", server.base_url) as other:
        assert other.token != page.token
        other.act("/show", chapter="07")
        shown = other.until(lambda state: state["sections"])["sections"]
        assert [one["approved"] for one in shown.values()] == [True, False, False]
        other.act("/start", chapter="07")
        assert other.asked(2)["text"] == second["text"]
        assert len(server.requests) == bought
        assert other.end() == 130


def test_ctrl_c_lets_what_is_in_flight_arrive(place: Path) -> None:
    with ScriptedServer(latency_seconds=1.5) as server, serving(place, "--base-url", server.base_url) as page:
        page.act("/start", chapter="07")
        page.until(lambda state: state["budget"]["reserved"])
        assert page.end() == 130
        assert len(server.requests) == 1
    assert expand(place, "budget", "--format", "json").json["used"] == 1000 + server.billed_tokens
    assert expand(place, "ledger", "verify").code == 0


# --- in a browser ------------------------------------------------------------------------------------------

TEXT = "document.getElementById('text').textContent"
ASKED = "!document.getElementById('question').hidden && document.getElementById('heading').textContent"


IMAGE = "An <img src=x onerror=alert(1)> in the text."


async def sees(tab: Tab, title: str) -> None:
    await tab.until(f"({ASKED}).includes('{title}')")


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium")
@pytest.mark.slow
async def test_in_a_browser(place: Path) -> None:
    class Hostile(ScriptedServer):
        def write(self, received: Any) -> tuple[str, str]:
            text, reason = super().write(received)
            return f"{IMAGE}\n{text}", reason

    with Hostile(chunk_characters=30, chunk_seconds=0.02) as server:
        arguments = ("--base-url", server.base_url)
        async with browser() as opened:
            with serving(place, *arguments) as page:
                one = await opened.tab(page.url)
                await one.click("07 Signals and pipes")
                await one.until("document.querySelectorAll('#sections .row').length === 3")
                await one.click("Start")
                await one.until(f"{TEXT}.length > 100 && document.getElementById('question').hidden")
                await sees(one, "Signal handling")
                assert page.token not in await one.value("location.href + document.cookie")

                two = await opened.tab(f"{page.origin}/")
                await sees(two, "Signal handling")
                before = await two.value(TEXT)
                await one.value("document.getElementById('note').value = 'Name each signal.'")
                await one.click("Send back with the note")
                await two.until("document.getElementById('question').hidden")
                await sees(two, "Signal handling")
                assert await two.value(TEXT) != before
                await two.click("Approve")
                await sees(one, "Named pipes")
                await one.until("document.querySelector('#sections .approved').innerText.includes('1. Signal')")
                page.process.kill()
                page.process.wait()
                await one.until("!document.getElementById('lost').hidden")
            assert any("/revise/" in received.headers["X-Client-Request-Id"] for received in server.requests)
            bought = len(server.requests)
            with serving(place, *arguments) as page:
                three = await opened.tab(page.url)
                await three.click("07 Signals and pipes")
                await three.until("document.querySelector('#sections .approved').innerText.includes('1. Signal')")
                await three.click("Start")
                await sees(three, "Named pipes")
                assert len(server.requests) == bought
                assert IMAGE in await three.value(TEXT)
                assert await three.value("document.images.length") == 0
                said = [what for tab in (one, two, three) for what in tab.complaints]
                assert [what for what in said if "ERR_" not in what] == []
                assert page.end() == 130
