"""Kill the buyers at random, and compare the ledger with the books of the server that billed.

For each seed, a billing server on 127.0.0.1 that streams its answers, and four buyers, each a process of its own with
32 calls in flight through ``OpenAIAuthor``, all wanting the same answers from one ledger. The server refuses 5 % for
their rate, bills 3 % that it answers with a 500, breaks off 10 % in mid-stream (some after it has reported the usage,
some before any text), lets 1 % fall silent there, and bills all of them in full. What broke off is continued by a
request of its own. Buyers are killed with SIGKILL at random moments and started anew. In the end the ledger must hold
up:

* what the server billed is within the limit, nothing billed was given back as unbilled, and at every kill and in the
  end used, reserved and remaining tokens are the limit;
* no request was sent again once its answer was settled;
* the text that a cut answer had brought to a living buyer is in the ledger, letter for letter;
* every text that a buyer put together, from an answer and what continued it, is in the ledger, letter for letter;
* nothing is reserved, and the audit (with the database's own check) finds nothing.

    uv run python -m benchmarks.kill --seeds 20
    uv run python -m benchmarks.kill --seeds 4 --ledger postgresql
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import hashlib
import json
import logging
import multiprocessing as mp
import os
import random
import secrets
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from aiohttp import web

from expand.budget import Amount, Limit
from expand.client.client import BudgetedClient
from expand.client.retry_policy import RetryPolicy
from expand.errors import AuthorError, BudgetExceededError
from expand.ledger import Ledger, Order, State, verify
from expand.ledger.values import StoredAnswer
from expand.ledger_location import LedgerPlace, read_server
from expand.llm.endpoint import Endpoint
from expand.llm.openai_client import OpenAIAuthor
from expand.llm.types import Address, Failure, Finish, Message, Request

BUYERS = 4
IN_FLIGHT = 32
PROMPT = 200
CAP = 400
MEAN_BILL = 175 + 250
SILENCE_SECONDS = 2.0
CHUNKS = 8
"""In how many chunks an answer comes."""
FASTER = 5
"""Waits between retries are this much shorter than in earnest."""


# --- the server, with books of its own -------------------------------------------------------


@dataclass(kw_only=True, slots=True)
class Entry:
    """One request as the server's books have it; ``sent`` is the text that went out of an answer that broke off."""

    attempt: str
    outcome: str
    billed: int = 0
    sent: str = ""


class Server:
    """Streams and bills, and now and then misbehaves; never more than the cap that it was sent."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self.books: list[Entry] = []
        self.in_flight = 0
        self.most_in_flight = 0

    async def complete(self, http: web.Request) -> web.StreamResponse:
        body = await http.json()
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            return await self._answer(http, body["messages"][0]["content"])
        finally:
            self.in_flight -= 1

    async def _answer(self, http: web.Request, question: str) -> web.StreamResponse:
        die, completion = self._random.random(), self._random.randint(100, CAP)
        prompt, seconds = self._random.randint(150, PROMPT), self._random.uniform(0.5, 1.5)
        entry = Entry(attempt=http.headers["X-Client-Request-Id"].rpartition("/")[2], outcome="429")
        self.books.append(entry)
        if die < 0.05:
            return web.Response(status=429, headers={"Retry-After": "0.02"})
        entry.outcome, entry.billed = "500", prompt + completion
        if die < 0.08:
            await asyncio.sleep(seconds)
            return web.Response(status=500)
        entry.outcome = "cut" if die < 0.18 else "silent" if die < 0.19 else "whole"
        broken = entry.outcome != "whole"
        chunks = self._random.randrange(CHUNKS) if broken else CHUNKS
        stream = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        stream.enable_chunked_encoding()
        await stream.prepare(http)
        mark = f"{self._random.getrandbits(64):x}"
        for number in range(chunks):
            await asyncio.sleep(seconds / CHUNKS)
            text = f"{question}: {mark}, line {number}\n" * (completion // 10 // CHUNKS + 1)
            await stream.write(_event({"index": 0, "delta": {"content": text}, "finish_reason": None}))
            entry.sent += text
        usage = {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}
        if broken:
            if entry.outcome == "silent":
                await asyncio.sleep(SILENCE_SECONDS + 1)
            elif die < 0.1:
                await stream.write(_event(usage=usage))
            if http.transport is not None:
                http.transport.close()
            return stream
        await stream.write(_event({"index": 0, "delta": {}, "finish_reason": "stop"}) + _event(usage=usage))
        await stream.write(b"data: [DONE]\n\n")
        return stream


def _event(choice: dict[str, object] | None = None, usage: dict[str, int] | None = None) -> bytes:
    head = {"id": "answer", "object": "chat.completion.chunk", "created": 1, "model": "author"}
    return b"data: " + json.dumps({**head, "choices": [choice] if choice else [], "usage": usage}).encode() + b"\n\n"


def serve(seed: int, pipe: Connection) -> None:
    """Serve until told to stop; then hand the books over."""

    logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL)  # killed clients are no news

    async def run() -> None:
        server = Server(seed)
        application = web.Application()
        application.router.add_post("/v1/chat/completions", server.complete)
        runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        pipe.send(runner.addresses[0][1])
        await asyncio.get_running_loop().run_in_executor(None, pipe.recv)
        pipe.send((server.books, server.most_in_flight))
        await runner.cleanup()

    asyncio.run(run())


# --- the buyers ------------------------------------------------------------------------------


def order(number: int, text: str = "", run_id: str = "") -> Order:
    """The order for the ``number``-th text, or for its rest after ``text``."""
    after = f" after {digest(text)}" if text else ""
    return Order(
        request=Request(
            model="author",
            messages=(Message(role="user", content=f"request {number}{after}"),),
            max_output_tokens=CAP,
        ),
        address=Address(f"{number % 7:02}", 1 + number % 5, "continue" if text else "draft"),
        run_id=run_id,
        language="en",
        plan="full",
        prompt_tokens=PROMPT,
        amount=Amount(tokens=PROMPT + CAP),
    )


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def buy(place: LedgerPlace, folder: Path, port: int, requests: int, limit: int, number: int) -> None:
    """One buyer: wants every text, beginning elsewhere than the others; logs what it has of each after each answer."""
    log = os.open(folder / "handed-out.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    first = number * requests // BUYERS
    wanted = iter([(first + step) % requests for step in range(requests)])
    endpoint = Endpoint(api_key=None, base_url=f"http://127.0.0.1:{port}/v1", read_seconds=SILENCE_SECONDS)

    async def shop() -> None:
        ledger = Ledger.open(place)
        run = ledger.begin_run(limits={"book": Limit(tokens=limit)})
        async with OpenAIAuthor(endpoint) as author:
            client = BudgetedClient(
                ledger=ledger,
                author=author,
                sleep=lambda seconds: asyncio.sleep(seconds / FASTER),
                retry=RetryPolicy(jitter=lambda: 0.0),
                pilot_seconds=0.0,
                prepare=lambda _: author.open(),
            )

            async def write(each: int) -> None:
                text, finish = "", Finish.CUT
                for parts in range(1, requests):
                    if finish is not Finish.CUT:
                        return
                    bought = await client.buy(order(each, text, run.id))
                    text, finish = text + bought.answer.text, bought.answer.finish
                    os.write(log, f"{each} {parts} {finish} {digest(text)}\n".encode())

            async def work() -> None:
                for each in wanted:
                    with contextlib.suppress(BudgetExceededError, AuthorError):
                        await write(each)

            await asyncio.gather(*(work() for _ in range(IN_FLIGHT)))
            await client.drain()
        ledger.close()

    asyncio.run(shop())


def where(folder: Path, server: str | None) -> LedgerPlace:
    """Where the seed's ledger goes: into a file, or into a schema of its own."""
    if server is None:
        return folder / "ledger.db"
    mark = "&" if "?" in server else "?"
    return read_server(f"{server}{mark}schema=kill_{secrets.token_hex(6)}")


@contextlib.contextmanager
def database(wanted: str) -> Iterator[str | None]:
    """The address of a server that waits for its disk; None for a file."""
    if wanted == "sqlite":
        yield None
    elif wanted == "postgresql":
        sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
        import postgres_server

        with postgres_server.running(durable=True) as address:
            yield address
    else:
        yield wanted


# --- a seed, and what came of it -------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """What one seed showed. Tokens where no unit is named.

    ``cuts`` are answers that were cut; of ``continued`` of them the ledger has the continuation. ``lost`` cut answers
    brought text to a living buyer and are not in the ledger with it. ``given_back`` was billed and yet released in the
    ledger; ``bought_again`` counts attempts at a request that was settled before; ``missing`` texts were handed out and
    are not in the ledger. An answer that reaches a buyer in the instant of its death is unknown, and charged.
    ``balanced`` says that used, reserved and remaining tokens were the limit at every look.
    """

    seed: int
    requests: int
    attempts: int
    answers: int
    cuts: int
    continued: int
    lost: int
    kills: int
    at_once: int
    billed: int
    charged: int
    limit: int
    given_back: int
    bought_again: int
    missing: int
    reserved: int
    unknown: int
    unknown_tokens: int
    balanced: bool
    findings: tuple[str, ...]
    exits: tuple[int | None, ...]
    seconds: float

    @property
    def ok(self) -> bool:
        """Whether every invariant held."""
        wrong = (self.lost, self.given_back, self.bought_again, self.missing, self.reserved, *self.exits)
        kept = self.billed <= self.charged <= self.limit and self.balanced
        return kept and bool(self.continued) and not any(wrong) and not self.findings


def run_seed(seed: int, requests: int, kills: int, server: str | None) -> Result:
    """Buy under fire and hold the ledger against the server's books."""
    began = time.monotonic()
    dice = random.Random(seed)
    limit = int(requests * MEAN_BILL * dice.uniform(0.7, 2.0))
    context = mp.get_context("forkserver")
    with tempfile.TemporaryDirectory() as folder:
        place = where(Path(folder), server)
        pipe, far = mp.Pipe()
        billing = context.Process(target=serve, args=(seed, far))
        billing.start()
        port = pipe.recv()

        def start(number: int) -> mp.process.BaseProcess:
            buyer = context.Process(target=buy, args=(place, Path(folder), port, requests, limit, number))
            buyer.start()
            return buyer

        buyers = [start(number) for number in range(BUYERS)]
        killed, balanced = 0, True
        for _ in range(kills):
            time.sleep(dice.uniform(0.2, 1.2))
            number = dice.randrange(BUYERS)
            pid = buyers[number].pid
            if pid is None or not buyers[number].is_alive():
                continue
            os.kill(pid, signal.SIGKILL)
            buyers[number].join()
            killed += 1
            balanced &= _balanced(place)
            buyers[number] = start(number)
        for buyer in buyers:
            buyer.join()
        pipe.send("stop")
        books, at_once = pipe.recv()
        billing.join()
        return _compare(
            place,
            Path(folder),
            books,
            seed=seed,
            requests=requests,
            kills=killed,
            at_once=at_once,
            limit=limit,
            balanced=balanced and _balanced(place),
            exits=tuple(buyer.exitcode for buyer in buyers),
            began=began,
        )


def _balanced(place: LedgerPlace) -> bool:
    """Whether the ledger adds up just now, and what is used and reserved is within the limit."""
    ledger = Ledger.read(place)
    if ledger is None:
        return True
    with contextlib.closing(ledger):
        balance = ledger.balance("book")
    kept = balance.used_tokens + balance.reserved_tokens + (balance.remaining_tokens or 0) == (
        balance.limit.tokens or 0
    )
    return kept and (balance.remaining_tokens or 0) >= 0 and verify(place).ok


def _compare(
    place: LedgerPlace,
    folder: Path,
    books: list[Entry],
    *,
    seed: int,
    requests: int,
    kills: int,
    at_once: int,
    limit: int,
    balanced: bool,
    exits: tuple[int | None, ...],
    began: float,
) -> Result:
    ledger = Ledger.open(place)
    ledger.recover()
    rows = list(ledger.attempts())
    by_id = {row.id: row for row in rows}
    settled: set[str] = set()
    again = 0
    for row in rows:
        again += row.request_key in settled
        if row.state is State.SETTLED:
            settled.add(row.request_key)
    parts = {number: _parts(ledger, number) for number in range(requests)}
    missing = 0
    for line in set((folder / "handed-out.log").read_text().splitlines()):
        number, count, finish, sha256 = line.split()
        stored = parts[int(number)][: int(count)]
        same = digest("".join(part.answer.text for part in stored)) == sha256 and [
            p.answer.finish for p in stored[-1:]
        ] == [finish]
        missing += not same
    cuts = [found[n:] for found in parts.values() for n in range(len(found)) if found[n].answer.finish is Finish.CUT]
    answers = {part.attempt_id: part.answer.text for found in parts.values() for part in found}
    balance = ledger.balance("book")
    ledger.close()
    return Result(
        seed=seed,
        requests=requests,
        attempts=len(rows),
        answers=len(settled),
        cuts=len(cuts),
        continued=sum(len(found) > 1 for found in cuts),
        lost=sum(
            answers.get(entry.attempt) != entry.sent
            for entry in books
            if entry.outcome in ("cut", "silent") and entry.sent and by_id[entry.attempt].failure != Failure.CRASHED
        ),
        kills=kills,
        at_once=at_once,
        billed=sum(entry.billed for entry in books),
        charged=balance.used_tokens,
        limit=limit,
        given_back=sum(
            entry.billed
            for entry in books
            if entry.attempt not in by_id or by_id[entry.attempt].state is State.RELEASED
        ),
        bought_again=again,
        missing=missing,
        reserved=balance.reserved_tokens,
        unknown=sum(row.state is State.UNKNOWN for row in rows),
        unknown_tokens=balance.unknown_tokens,
        balanced=balanced,
        findings=verify(place).findings,
        exits=exits,
        seconds=time.monotonic() - began,
    )


def _parts(ledger: Ledger, number: int) -> list[StoredAnswer]:
    """What the ledger has of a text: its answer, and what continued that as long as it was cut."""
    found: list[StoredAnswer] = []
    while not found or found[-1].answer.finish is Finish.CUT:
        stored = ledger.known(order(number, "".join(part.answer.text for part in found)))
        if stored is None:
            break
        found.append(stored)
    return found


HEAD = (
    "seed requests attempts answers cuts continued lost kills at once   billed  charged    limit "
    "adds up given back  again missing reserved integrity unknown of limit seconds"
)


def line(result: Result) -> str:
    """One row of the table."""
    return (
        f"{result.seed:4} {result.requests:8} {result.attempts:8} {result.answers:7} {result.cuts:4} "
        f"{result.continued:9} {result.lost:4} {result.kills:5} {result.at_once:7} {result.billed:8} "
        f"{result.charged:8} {result.limit:8} {'yes' if result.balanced else 'NO':>7} "
        f"{result.given_back:10} {result.bought_again:6} {result.missing:7} {result.reserved:8} "
        f"{'BROKEN' if result.findings else 'ok':>9} {result.unknown:7} "
        f"{result.unknown_tokens / result.limit:8.1%} {result.seconds:7.1f}"
    )


def main() -> int:
    """Run the seeds and print the table; 1 when an invariant broke."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seeds", type=int, default=20, help="how many seeds (20)")
    parser.add_argument("--first", type=int, default=1, help="the first seed (1)")
    parser.add_argument("--requests", type=int, default=400, help="requests a seed (400)")
    parser.add_argument("--kills", type=int, default=4, help="kills a seed, at most (4)")
    parser.add_argument(
        "--ledger",
        default="sqlite",
        help="sqlite, postgresql (a server is started), or a server's postgresql://… address",
    )
    chosen = parser.parse_args()
    mp.set_forkserver_preload(["aiohttp.web", "expand.client.client", "expand.ledger", "expand.llm.openai_sdk"])
    print(HEAD)
    results = []
    with database(chosen.ledger) as server:
        for seed in range(chosen.first, chosen.first + chosen.seeds):
            result = run_seed(seed, chosen.requests, chosen.kills, server)
            results.append(result)
            print(line(result), flush=True)
            for finding in result.findings:
                print(f"     {finding}", flush=True)
            if any(result.exits):
                print(f"     buyers ended with {result.exits}", flush=True)
    broken = [result.seed for result in results if not result.ok]
    print(
        f"{len(results)} seeds, {sum(r.attempts for r in results):,} attempts, "
        f"{sum(r.kills for r in results)} kills: " + (f"BROKEN in seeds {broken}" if broken else "every invariant held")
    )
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
