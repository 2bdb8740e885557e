"""Kill the buyers at random, and compare the ledger with the books of the server that billed.

For each seed, a billing server on 127.0.0.1 and four buyers, each a process of its own with 32
calls in flight, all wanting the same requests from one ledger. The server refuses 5 % for their
rate, bills 3 % that it answers with a 500, cuts 2 % of its answers short and lets 1 % hang. Buyers
are killed with SIGKILL at random moments and started anew. In the end the ledger must hold up:

* what the server billed is within the limit, and nothing billed was given back as unbilled;
* no request was sent again once its answer was settled;
* every answer that a buyer was handed is in the ledger, letter for letter;
* nothing is reserved, and the audit (with the database's own check) finds nothing.

    uv run python benchmarks/kill.py --seeds 20
    uv run python benchmarks/kill.py --seeds 5 --ledger postgresql
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

import aiohttp
from aiohttp import web

from expand.budget import Amount, Limit
from expand.client.client import BudgetedClient, RetryPolicy
from expand.errors import AuthorError, BudgetExceededError
from expand.ledger import Ledger, Order, Run, State, verify
from expand.ledger_location import LedgerPlace, read_server
from expand.llm.types import (
    Address,
    Answer,
    AttemptFailedError,
    Failure,
    Finish,
    Message,
    OnText,
    Request,
    Usage,
    ignore_text,
)

BUYERS = 4
IN_FLIGHT = 32
PROMPT = 200
CAP = 400
MEAN_BILL = 175 + 250
TIMEOUT_SECONDS = 3.0
FASTER = 5
"""Waits between retries are this much shorter than in earnest."""


# --- the server, with books of its own -------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """One request as the server's books have it."""

    attempt: str
    question: str
    billed: int
    outcome: str


class Server:
    """Bills, and now and then misbehaves; never more than the cap that it was sent."""

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
            return await self._answer(http, body)
        finally:
            self.in_flight -= 1

    async def _answer(self, http: web.Request, body: dict[str, str]) -> web.StreamResponse:
        attempt = http.headers["X-Client-Request-Id"].rpartition("/")[2]
        question = body["question"]
        die, completion = self._random.random(), self._random.randint(100, CAP)
        prompt = self._random.randint(150, PROMPT)

        def enter(billed: int, outcome: str) -> None:
            self.books.append(Entry(attempt=attempt, question=question, billed=billed, outcome=outcome))

        if die < 0.05:
            enter(0, "429")
            return web.Response(status=429, headers={"Retry-After": "0.02"})
        await asyncio.sleep(self._random.uniform(0.5, 1.5))
        bill = prompt + completion
        if die < 0.08:
            enter(bill, "500")
            return web.Response(status=500)
        if die < 0.09:
            enter(bill, "hang")
            await asyncio.sleep(TIMEOUT_SECONDS + 1)
        text = f"{question}: {self._random.getrandbits(64):x}\n" * (completion // 10)
        answer = json.dumps({"text": text, "prompt": prompt, "completion": completion})
        if 0.09 <= die < 0.11:
            enter(bill, "cut")
            cut = web.StreamResponse(headers={"Content-Length": str(len(answer))})
            await cut.prepare(http)
            await cut.write(answer.encode()[: len(answer) // 2])
            if http.transport is not None:
                http.transport.close()
            return cut
        if die >= 0.11:
            enter(bill, "ok")
        return web.Response(text=answer)


def serve(seed: int, pipe: Connection) -> None:
    """Serve until told to stop; then hand the books over."""

    logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL)  # killed clients are no news

    async def run() -> None:
        server = Server(seed)
        application = web.Application()
        application.router.add_post("/", server.complete)
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


class HttpAuthor:
    """An author without an SDK, so that the calls are cheap."""

    def __init__(self, session: aiohttp.ClientSession, port: int) -> None:
        self._session = session
        self._address = f"http://127.0.0.1:{port}/"

    async def complete(self, request: Request, *, client_request_id: str, on_text: OnText = ignore_text) -> Answer:
        try:
            async with self._session.post(
                self._address,
                json={"question": request.messages[0].content},
                headers={"X-Client-Request-Id": client_request_id},
            ) as response:
                if response.status == 429:
                    wait = float(response.headers["Retry-After"])
                    raise AttemptFailedError(Failure.RATE_LIMITED, "429", status=429, retry_after_seconds=wait)
                if response.status >= 500:
                    raise AttemptFailedError(Failure.SERVER_ERROR, "500", status=500)
                body = json.loads(await response.text())
        except TimeoutError as error:
            raise AttemptFailedError(Failure.TIMEOUT, "no answer in time") from error
        except aiohttp.ClientConnectorError as error:
            raise AttemptFailedError(Failure.UNREACHABLE, str(error)) from error
        except aiohttp.ClientError as error:
            raise AttemptFailedError(Failure.DISCONNECTED, str(error)) from error
        usage = Usage(prompt=body["prompt"], completion=body["completion"])
        return Answer(text=body["text"], finish=Finish.STOP, usage=usage)


def order(run: Run, number: int) -> Order:
    """The order for the ``number``-th request."""
    return Order(
        request=Request(
            model="author",
            messages=(Message(role="user", content=f"request {number}"),),
            max_output_tokens=CAP,
        ),
        address=Address(chapter=f"{number % 7:02}", section=1 + number % 5, purpose="draft"),
        run_id=run.id,
        language="en",
        plan="full",
        prompt_tokens=PROMPT,
        amount=Amount(tokens=PROMPT + CAP),
    )


def buy(place: LedgerPlace, folder: Path, port: int, requests: int, limit: int, number: int) -> None:
    """One buyer: wants every request, beginning elsewhere than the others; logs what it got."""
    log = os.open(folder / "handed-out.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    first = number * requests // BUYERS
    wanted = iter([(first + step) % requests for step in range(requests)])

    async def shop() -> None:
        ledger = Ledger.open(place)
        run = ledger.begin_run(limits={"book": Limit(tokens=limit)}, openings={})
        timeout = aiohttp.ClientTimeout(total=TIMEOUT_SECONDS)
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(timeout=timeout, connector=connector) as session:
            purchase = BudgetedClient(
                ledger=ledger,
                author=HttpAuthor(session, port),
                sleep=lambda seconds: asyncio.sleep(seconds / FASTER),
                retry=RetryPolicy(jitter=lambda: 0.0),
                pilot_seconds=0.0,
            )

            async def work() -> None:
                for each in wanted:
                    try:
                        bought = await purchase.buy(order(run, each))
                    except (BudgetExceededError, AuthorError):
                        continue
                    digest = hashlib.sha256(bought.answer.text.encode()).hexdigest()
                    os.write(log, f"{bought.attempt_id} {digest}\n".encode())

            await asyncio.gather(*(work() for _ in range(IN_FLIGHT)))
            await purchase.drain()
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

    ``given_back`` was billed and yet released in the ledger; ``bought_again`` counts attempts at
    a request that was settled before; ``missing`` answers were handed out and are not in the
    ledger. An answer that reaches a buyer in the instant of its death is unknown, and charged.
    """

    seed: int
    requests: int
    attempts: int
    answers: int
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
    findings: tuple[str, ...]
    exits: tuple[int | None, ...]
    seconds: float

    @property
    def ok(self) -> bool:
        """Whether every invariant held."""
        wrong = (self.given_back, self.bought_again, self.missing, self.reserved, *self.exits)
        return self.billed <= min(self.limit, self.charged) and not any(wrong) and not self.findings


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
        killed = 0
        for _ in range(kills):
            time.sleep(dice.uniform(0.2, 1.2))
            number = dice.randrange(BUYERS)
            pid = buyers[number].pid
            if pid is None or not buyers[number].is_alive():
                continue
            os.kill(pid, signal.SIGKILL)
            buyers[number].join()
            killed += 1
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
            exits=tuple(buyer.exitcode for buyer in buyers),
            began=began,
        )


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
    handed_out = (folder / "handed-out.log").read_text().splitlines()
    missing = 0
    for line in set(handed_out):
        attempt, sha256 = line.split()
        stored = ledger.answer(by_id[attempt].request_key) if attempt in by_id else None
        text = "" if stored is None else stored.text
        missing += hashlib.sha256(text.encode()).hexdigest() != sha256
    balance = ledger.balance("book")
    ledger.close()
    return Result(
        seed=seed,
        requests=requests,
        attempts=len(rows),
        answers=len(settled),
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
        findings=verify(place).findings,
        exits=exits,
        seconds=time.monotonic() - began,
    )


HEAD = (
    "seed requests attempts answers kills at once   billed  charged    limit  billed<=limit "
    "given back  again missing reserved integrity unknown of limit seconds"
)


def line(result: Result) -> str:
    """One row of the table."""
    return (
        f"{result.seed:4} {result.requests:8} {result.attempts:8} {result.answers:7} "
        f"{result.kills:5} {result.at_once:7} {result.billed:8} {result.charged:8} "
        f"{result.limit:8}  {'yes' if result.billed <= result.limit else 'NO':>13} "
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
    mp.set_forkserver_preload(["aiohttp.web", "expand.client.client", "expand.ledger"])
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
