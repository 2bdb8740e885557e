"""A section through a real gateway, and the same tokens in three books.

A LiteLLM proxy (from PyPI, in an environment of its own that uv makes) stands between the tool and
the embedded model's server; between those two stands a recorder, which keeps what the gateway sent
on and what the server answered, and can play mishaps. It is shown that

* ``expand chapter 03 --section 1`` gives what it gives without a gateway;
* the ledger's tokens are the gateway's own (its success callback) and llama.cpp's, one by one;
* a failure behind the gateway is one attempt here and one request there: the gateway does not try
  again by itself, since it is told not to, and the failure means here what it meant there.

    uv run python benchmarks/proxy.py            # about three minutes on two cores
    uv run python benchmarks/proxy.py --mishaps  # the failures alone, half a minute

Nothing leaves this machine once uv has the packages.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import shutil
import socket
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from expand.ledger import AttemptRow, Ledger, State
from expand.llm.local_model import ServerProcess, served_model
from expand.llm.profile import EMBEDDED_MODEL, profile_for

ROOT = Path(__file__).parents[1]
KEY = "sk-gateway-0123456789"
ALIAS = "author"
START_SECONDS = 300.0
GATEWAY = ("uv", "run", "--no-project", "--isolated", "--with", "litellm[proxy]", "litellm")

_CONFIG = """\
model_list:
  - model_name: {alias}
    litellm_params: {{model: openai/{model}, api_base: "{url}", api_key: none}}
litellm_settings:
  callbacks: gateway_log.log
  telemetry: false
general_settings:
  master_key: {key}
"""
_CALLBACK = """\
import json, os
from litellm.integrations.custom_logger import CustomLogger

class Log(CustomLogger):
    async def async_log_success_event(self, kwargs, response_obj, start_time, end_time):
        said = kwargs["standard_logging_object"]
        row = {"id": kwargs["litellm_call_id"], "prompt": said["prompt_tokens"],
               "completion": said["completion_tokens"], "cost": said["response_cost"]}
        with open(os.environ["GATEWAY_LOG"], "a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\\n")

log = Log()
"""
_SETTINGS = f"""\
[author]
provider = "litellm"
model = "{ALIAS}"

[models.{ALIAS}]
like = "{EMBEDDED_MODEL}"
"""


@dataclass(kw_only=True)
class Seen:
    """One request that came out of the gateway, and the usage that llama.cpp reported for it."""

    what: str
    headers: Mapping[str, str]
    body: Mapping[str, Any]
    status: int
    usage: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Mishap:
    """An answer in the place of the server's. ``status`` 0 drops the connection."""

    name: str
    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    error: Mapping[str, Any] = field(default_factory=dict)
    answer: Mapping[str, Any] | None = None
    expected: tuple[str, ...] = ()
    """The failures that the ledger may call it."""


MISHAPS = (
    Mishap(
        name="a refused key",
        status=401,
        error={"message": "Incorrect API key provided", "code": "invalid_api_key"},
        expected=("unauthorized",),
    ),
    Mishap(
        name="a rate limit",
        status=429,
        headers={"retry-after": "2"},
        error={"message": "Rate limit reached", "code": "rate_limit_exceeded"},
        expected=("rate_limited",),
    ),
    Mishap(
        name="no money left",
        status=429,
        error={
            "message": "You exceeded your current quota",
            "type": "insufficient_quota",
            "code": "insufficient_quota",
        },
        expected=("quota",),
    ),
    Mishap(name="a server's failure", status=500, error={"message": "oops"}, expected=("server_error",)),
    Mishap(name="a dropped connection", status=0, expected=("server_error", "disconnected")),
    Mishap(
        name="a prompt too long",
        status=400,
        error={"message": "maximum context length is 10", "code": "context_length_exceeded"},
        expected=("bad_request",),
    ),
)
ENOUGH = Mishap(name="enough", status=401, error={"message": "enough", "code": "invalid_api_key"})
COOLDOWN_SECONDS = 8.0


class Recorder:
    """Hands requests on to ``url`` and keeps them; with ``mishap`` set, plays that instead."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.seen: list[Seen] = []
        self.mishap: Mishap | None = None

    async def handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        sent = json.loads(body) if body else {}
        what = f"{request.method} {request.path}"
        mishap = self.mishap
        if mishap is not None:
            self.seen.append(Seen(what=what, headers=request.headers, body=sent, status=mishap.status))
            if not mishap.status:
                assert request.transport is not None
                request.transport.abort()
            answer = mishap.answer or {"error": {"type": None, "param": None, **mishap.error}}
            return web.json_response(answer, status=mishap.status or 500, headers=mishap.headers)
        async with (
            aiohttp.ClientSession(trust_env=False) as session,
            session.request(
                request.method,
                self.url + request.path_qs,
                data=body,
                headers={"Content-Type": "application/json"},
            ) as response,
        ):
            text = await response.read()
            status = response.status
        said = json.loads(text)
        usage = said.get("usage") or {}
        seen = Seen(what=what, headers=request.headers, body=sent, status=status, usage=usage)
        self.seen.append(seen)
        return web.Response(body=text, status=status, content_type="application/json")


@asynccontextmanager
async def recording(url: str) -> AsyncIterator[tuple[Recorder, str]]:
    recorder = Recorder(url)
    app = web.Application(client_max_size=10_000_000)
    app.router.add_route("*", "/{path:.*}", recorder.handle)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        assert site._server is not None
        port = site._server.sockets[0].getsockname()[1]  # type: ignore[attr-defined]
        yield recorder, f"http://127.0.0.1:{port}/v1"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def gateway(url: str, folder: Path) -> AsyncIterator[tuple[str, Path]]:
    """A LiteLLM proxy in front of ``url``: its own URL, and the file with its own book."""
    folder.mkdir(parents=True)
    config, log = folder / "config.yaml", folder / "log.jsonl"
    config.write_text(_CONFIG.format(alias=ALIAS, model=EMBEDDED_MODEL, url=url, key=KEY))
    (folder / "gateway_log.py").write_text(_CALLBACK)
    port = _free_port()
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("OPENAI_")},
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "GATEWAY_LOG": str(log),
        "NO_PROXY": "127.0.0.1",
    }
    process = await asyncio.create_subprocess_exec(
        *GATEWAY, "--config", str(config), "--host", "127.0.0.1", "--port", str(port),
        env=environment,
        cwd=folder,
        stdout=(folder / "stdout").open("wb"),
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
    )  # fmt: skip
    try:
        await _until_alive(f"http://127.0.0.1:{port}/health/liveliness", process, folder / "stdout")
        yield f"http://127.0.0.1:{port}/v1", log
    finally:
        if process.returncode is None:
            os.killpg(process.pid, 15)
            await process.wait()


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


async def _until_alive(url: str, process: asyncio.subprocess.Process, output: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    async with aiohttp.ClientSession(trust_env=False) as session:
        while time.monotonic() < deadline and process.returncode is None:
            try:
                async with session.get(url) as response:
                    if response.status == 200:
                        return
            except aiohttp.ClientError:
                pass
            await asyncio.sleep(0.5)
    raise SystemExit(f"the gateway did not start:\n{output.read_text()[-3000:]}")


def workspace(folder: Path, url: str) -> Path:
    """The repository's own book, with the gateway as the author."""
    folder.mkdir(parents=True)
    for name in ("outlines", "chapters"):
        shutil.copytree(ROOT / name, folder / name)
    lines = _SETTINGS.replace("[models", f'base_url = "{url}"\n\n[models', 1)
    (folder / "expand.toml").write_text(lines)
    return folder


async def expand(place: Path, *arguments: str) -> tuple[int, str, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "expand", *arguments,
        cwd=place,
        env={**os.environ, "LITELLM_API_KEY": KEY, "EXPAND_TRUST": "1"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, err = await process.communicate()
    return process.returncode or 0, out.decode(), err.decode()


def attempts_of(place: Path) -> list[AttemptRow]:
    ledger = Ledger.read(place / ".expand" / "ledger.db")
    assert ledger is not None
    try:
        return list(ledger.attempts())
    finally:
        ledger.close()


def shape_of(value: Any) -> Any:
    """The keys of a result, without its values; the items of a list are of one shape."""
    if isinstance(value, dict):
        return {key: shape_of(inner) for key, inner in value.items()}
    if isinstance(value, list):
        shapes = [shape_of(item) for item in value]
        return shapes[:1]
    return "number" if isinstance(value, int | float) and not isinstance(value, bool) else "other"


@dataclass
class Checks:
    failed: int = 0

    def __call__(self, what: str, holds: bool, detail: object = "") -> None:
        self.failed += not holds
        print(f"{'ok  ' if holds else 'FAIL'} {what}{f': {detail}' if detail != '' else ''}")


async def section(url: str, log: Path, recorder: Recorder, folder: Path, check: Checks) -> None:
    place = workspace(folder / "through", url)
    began = time.monotonic()
    code, out, err = await expand(place, "chapter", "03", "--section", "1", "--json")
    seconds = time.monotonic() - began
    check("exit code", code in (0, 5), f"{code}, {seconds:.0f} s")
    if code not in (0, 5):
        raise SystemExit(f"{err}\n{out}")
    result = json.loads(out)
    (one,) = result["chapters"][0]["sections"]
    direct = workspace(folder / "direct", recorder_url(recorder))
    (direct / "expand.toml").write_text(
        _SETTINGS.replace('"litellm"', '"llamacpp"').replace(
            "[models", f'base_url = "{recorder_url(recorder)}"\n\n[models', 1
        )
    )
    before = len(recorder.seen)
    told = await expand(direct, "chapter", "03", "--section", "8", "--plan", "lean", "--json")
    check(
        "without the gateway",
        told[0] in (0, 5),
        told[2].strip()[-200:] if told[0] not in (0, 5) else told[0],
    )
    check("the result has the same shape", shape_of(json.loads(told[1])) == shape_of(result))
    behind = [seen for seen in recorder.seen[:before] if seen.usage]
    for other in recorder.seen[:before]:
        if not other.usage:
            print(f"     behind the gateway also: {other.what}, HTTP {other.status}")
    check("lines", one["lines"] > 0, f"{one['lines']} of {one['target_lines']} asked")
    settled = [a for a in attempts_of(place) if a.state == State.SETTLED]
    ledger = sorted((a.usage.prompt, a.usage.completion) for a in settled if a.usage)
    await asyncio.sleep(2)  # the gateway calls back after it has answered
    rows = [json.loads(line) for line in log.read_text().splitlines()]
    theirs = sorted((row["prompt"], row["completion"]) for row in rows)
    served = sorted((s.usage["prompt_tokens"], s.usage["completion_tokens"]) for s in behind)
    for name, book in (("ledger", ledger), ("gateway", theirs), ("llama.cpp", served)):
        prompt, completion = (sum(pair[i] for pair in book) for i in (0, 1))
        print(f"     {name:<10}{len(book):>4} answers {prompt:>8,} in {completion:>8,} out")
    check("ledger and gateway agree, answer by answer", ledger == theirs)
    check("ledger and llama.cpp agree, answer by answer", ledger == served)
    check("one request behind the gateway for each attempt", len(behind) == len(settled))
    kept = {"grammar", "max_tokens", "temperature", "logit_bias"} & set(behind[0].body)
    check("the body came through whole", len(kept) == 4, ", ".join(sorted(kept)))
    ours = {name.lower() for name in behind[0].headers} & {"x-client-request-id"}
    print(f"     X-Client-Request-Id {'reaches' if ours else 'does not reach'} the provider")
    ids = {attempt.provider_request_id for attempt in settled}
    check("the ledger names each answer as the gateway does", ids == {row["id"] for row in rows})


def recorder_url(recorder: Recorder) -> str:
    return f"{recorder.url}/v1"


async def mishaps(url: str, recorder: Recorder, folder: Path, check: Checks) -> None:
    for number, mishap in enumerate(MISHAPS):
        # After a failure the gateway answers 429 by itself for a while: waited out before each.
        await asyncio.sleep(COOLDOWN_SECONDS if number else 0)
        place = workspace(folder / f"mishap{number}", url)
        recorder.seen.clear()
        recorder.mishap = mishap
        running = asyncio.create_task(expand(place, "chapter", "03", "--section", "8", "--concurrency", "1", "--json"))
        while not recorder.seen and not running.done():
            await asyncio.sleep(0.1)
        await asyncio.wait({running}, timeout=COOLDOWN_SECONDS)
        recorder.mishap = ENOUGH
        code, _, err = await running
        made = [attempt for attempt in attempts_of(place) if attempt.failure is not None]
        told = f"{made[0].failure}: {made[0].message}" if made else err.strip()[-150:]
        fits = bool(made) and made[0].failure in mishap.expected
        check(f"{mishap.name} ({mishap.status or 'dropped'})", fits, told)
        by_itself = sum("No deployments available" in attempt.message for attempt in made)
        check(
            "     not sent again by the gateway",
            len(recorder.seen) + by_itself == len(made),
            f"{len(made)} attempts, {by_itself} of them answered by the gateway itself, "
            f"{len(recorder.seen)} requests behind it, exit {code}",
        )
    await asyncio.sleep(COOLDOWN_SECONDS)
    recorder.seen.clear()
    recorder.mishap = next(mishap for mishap in MISHAPS if mishap.status == 500)
    await ask(url)
    print(f"     not told to leave it, the gateway sends a failing request {len(recorder.seen)} times")
    recorder.mishap = None


async def ask(url: str) -> Any:
    """One bare request to the gateway; what it answers."""
    body = {"model": ALIAS, "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 5}
    headers = {"Authorization": f"Bearer {KEY}"}
    async with (
        aiohttp.ClientSession(trust_env=False, headers=headers) as session,
        session.post(f"{url}/chat/completions", json=body) as response,
    ):
        return await response.json()


async def finishes(url: str, recorder: Recorder) -> None:
    """What becomes of the reasons why a model stopped."""
    await asyncio.sleep(COOLDOWN_SECONDS)
    for reason in ("stop", "length", "content_filter", "error", "model_length", None):
        message = {"role": "assistant", "content": "Half a"}
        recorder.mishap = Mishap(
            name="an answer",
            status=200,
            answer={
                "id": "a",
                "object": "chat.completion",
                "created": 1,
                "model": EMBEDDED_MODEL,
                "choices": [{"index": 0, "message": message, "finish_reason": reason}],
                "usage": {"prompt_tokens": 9, "completion_tokens": 5, "total_tokens": 14},
            },
        )
        said = await ask(url)
        arrived = said["choices"][0]["finish_reason"] if "choices" in said else said
        print(f"     finish_reason {reason} arrives as {arrived}")
    recorder.mishap = None


async def run(options: argparse.Namespace) -> int:
    check = Checks()
    with tempfile.TemporaryDirectory(prefix="expand-proxy-") as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        server = ServerProcess(served_model(None, profile_for(EMBEDDED_MODEL)))
        stack.callback(server.close)
        async with (
            recording(await asyncio.to_thread(lambda: server.listening_address)) as (recorder, recorder_address),
            gateway(recorder_address, folder / "gateway") as (url, log),
        ):
            if not options.mishaps:
                await section(url, log, recorder, folder, check)
            await mishaps(url, recorder, folder, check)
            await finishes(url, recorder)
    print("all is well" if not check.failed else f"{check.failed} checks failed")
    return min(1, check.failed)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--mishaps", action="store_true", help="the failures alone")
    return asyncio.run(run(parser.parse_args()))


if __name__ == "__main__":
    sys.exit(main())
