"""Workers on one queue: how much faster two are than one, and what kill -9 leaves behind.

Starts a PostgreSQL server and a scripted author of its own. Three parts, each with a book of its
own in the same database; ``expand chapter --all --queue`` puts it on the queue, and ``expand
worker`` processes take it, each from a checkout of its own:

* two workers against one, as processes on this machine;
* the same in two network namespaces, which reach the database and the author over a cable each
  (needs root; left out elsewhere);
* workers killed with SIGKILL at random and replaced, and the ledger held against the books of the
  author that billed.

Answers are streamed. With ``--cut-every N`` the author breaks off the connection in the middle of every N-th answer:
what had arrived of it has to be in the drafts.

    uv run python -m benchmarks.workers
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from benchmarks.namespaces import Machine, machines, possible
from benchmarks.speed.book import make_book
from expand.ledger import Ledger, State, export, verify
from expand.ledger_location import read_server
from expand.worker.job_queue import schema_of

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
import postgres_server

CONCURRENCY = 8
HERE = Machine()
WAIT_SECONDS = 600


@dataclass(kw_only=True)
class Book:
    """A book on the queue: its checkouts, its workers, and the author's server. Its workers take
    each other for dead after ``silent`` seconds.
    """

    folder: Path
    name: str
    sections: int
    database: int
    author: int
    limit: int = 1_000_000_000
    silent: float = 30.0
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def address(self, machine: Machine = HERE) -> str:
        return f"postgresql://expand@{machine.host}:{self.database}/postgres?schema={self.name}"

    def checkout(self, number: int, machine: Machine = HERE) -> Path:
        place = self.folder / f"{self.name}-{number}"
        if not place.exists():
            make_book(place, self.sections)
            book = place / "outlines" / "book.yaml"
            text = book.read_text(encoding="utf-8")
            book.write_text(text.replace("tokens: 1000000000", f"tokens: {self.limit}"))
            (place / "expand.toml").write_text(
                f'ledger = "{self.address(machine)}"\n[author]\nmodel = "scripted"\n'
                f'base_url = "http://{machine.host}:{self.author}/v1"\n'
            )
        return place

    def expand(self, *words: str) -> dict[str, Any]:
        """A command line of this machine's checkout; its JSON."""
        words = (*words, "--json")
        done = self._start(["expand", *words], self.checkout(0), HERE, stderr=subprocess.PIPE)
        out, said = done.communicate(timeout=WAIT_SECONDS)
        if done.returncode not in (0, 5):
            raise RuntimeError(f"expand {' '.join(words)}: {done.returncode}\n{said.decode()}")
        found: dict[str, Any] = json.loads(out)
        return found

    def start_worker(self, machine: Machine = HERE, number: int = 0) -> None:
        words = ["expand", "worker", "--quiet", "--concurrency", str(CONCURRENCY)]
        words += ["--silent-after", str(self.silent)]
        self.workers.append(self._start(words, self.checkout(number, machine), machine))

    def _start(
        self, words: list[str], place: Path, machine: Machine, stderr: int = subprocess.DEVNULL
    ) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [*machine.prefix, sys.executable, "-m", *words],
            cwd=place,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=stderr,
            env={**os.environ, "OPENAI_API_KEY": "sk-of-the-benchmark", "EXPAND_TRUST": "1"},
        )

    def query(self, statement: str) -> list[Any]:
        schema = schema_of(read_server(self.address()))
        address = self.address().partition("?")[0]
        with psycopg.connect(address, options=f"-c search_path={schema}") as connection:
            return connection.execute(statement.encode()).fetchall()

    def until(self, statement: str, wanted: int) -> None:
        """Wait until a statement's figure is ``wanted``; the queue need not be there yet."""
        began = time.monotonic()
        while True:
            with suppress(psycopg.errors.UndefinedTable):
                if self.query(statement)[0][0] == wanted:
                    return
            if time.monotonic() - began > WAIT_SECONDS:
                raise RuntimeError(f"{statement} did not come to {wanted}")
            time.sleep(0.2)

    def until_done(self) -> None:
        done = "SELECT count(*) FROM procrastinate_jobs WHERE status = 'succeeded'"
        self.until(done, self.sections)

    def end(self) -> None:
        for worker in self.workers:
            worker.terminate()
        for worker in self.workers:
            worker.communicate(timeout=60)
        self.workers.clear()


# --- two against one ---------------------------------------------------------------------------


def throughput(book: Book, workers: list[Machine]) -> tuple[float, list[int]]:
    """Sections a second from the first that was taken to the last that was done, by the database's
    clock, and how many each worker did. The workers wait for their first before any is queued.
    """
    book.checkout(0)
    for number, machine in enumerate(workers, start=1):
        book.start_worker(machine, number)
    book.until("SELECT count(*) FROM procrastinate_workers", len(workers))
    time.sleep(1)
    book.expand("chapter", "--all", "--queue")
    book.until_done()
    (seconds,) = book.query(
        "SELECT extract(epoch FROM max(at) FILTER (WHERE type = 'succeeded')"
        " - min(at) FILTER (WHERE type = 'started'))::float8 FROM procrastinate_events"
    )[0]
    shares = [row[0] for row in book.query("SELECT count(*) FROM queue_word GROUP BY worker")]
    book.end()
    return book.sections / seconds, shares


def compare(stage: Stage, name: str, places: list[Machine], sections: int) -> bool:
    """One worker, then two; whether two are at least 1.9 times as fast."""
    one, _ = throughput(stage.book(f"{name}_one", sections), places[:1])
    two, shares = throughput(stage.book(f"{name}_two", sections), places[:2])
    print(
        f"{name:11} {sections:5} sections, latency {stage.latency:g} s, {CONCURRENCY} at a time:"
        f" one worker {one:6.2f}/s, two {two:6.2f}/s (they did {' and '.join(map(str, shares))}):"
        f" {two / one:.2f} times",
        flush=True,
    )
    return two / one >= 1.9


# --- kill -9 -----------------------------------------------------------------------------------


def kill(stage: Stage, sections: int, kills: int, seed: int) -> bool:
    """Kills workers at random, has others take their place, and compares all books."""
    dice = random.Random(seed)
    limit = sections * 9_000
    book = stage.book("kills", sections, limit=limit, silent=3.0)
    before = stage.billed()
    book.expand("chapter", "--all", "--queue")
    began = time.monotonic()
    for number in (1, 2):
        book.start_worker(number=number)
    killed = in_hand = 0
    while killed < kills:
        time.sleep(dice.uniform(1.5, 3.5))
        victim = book.workers.pop(dice.randrange(len(book.workers)))
        in_hand += book.query("SELECT count(*) FROM procrastinate_jobs WHERE status = 'doing'")[0][0]
        victim.kill()
        victim.communicate()
        killed += 1
        left = book.query("SELECT count(*) FROM procrastinate_jobs WHERE status <> 'succeeded'")
        if not left[0][0]:
            print(f"all sections were done after {killed} kills; give more --sections")
            break
        book.start_worker(number=1 + killed % 2)
    book.until_done()
    seconds = time.monotonic() - began
    book.end()
    sent = stage.requests()
    drafted = book.expand("chapter", "--all")
    statuses = Counter(s["status"] for c in drafted["chapters"] for s in c["sections"])
    found = _books(book)
    billed = stage.billed() - before
    findings = verify(read_server(book.address())).findings
    cut, lost = _cut_answers(book)
    print(
        f"kill -9     {sections:5} sections, {killed} kills in {seconds:.0f} s, "
        f"{found.attempts} attempts, {found.answers} answers, {found.unknown} unknown\n"
        f"            billed {billed:,} <= charged {found.charged:,} <= limit {limit:,}; "
        f"{found.again} sent again after they were settled; {found.reserved} reserved\n"
        f"            {cut} answers cut in mid-stream, {lost} of their lines not in the drafts\n"
        f"            drafts: {dict(statuses)}, {drafted['attempts']} attempts for them, "
        f"{stage.requests() - sent} requests; ledger verify: {list(findings) or 'ok'}",
        flush=True,
    )
    return (
        billed <= found.charged <= limit
        and not (found.again or found.reserved or findings or drafted["attempts"] or lost)
        and bool(cut) == bool(stage.cut_every)
        and statuses == {"reused": sections}
        and killed == kills
    )


@dataclass(frozen=True, kw_only=True)
class Found:
    """What the ledger says of a book."""

    attempts: int
    answers: int
    unknown: int
    again: int
    charged: int
    reserved: int


def _books(book: Book) -> Found:
    ledger = Ledger.read(read_server(book.address()))
    assert ledger is not None
    rows = list(ledger.attempts())
    settled: set[str] = set()
    again = 0
    for row in rows:
        again += row.request_key in settled
        if row.state is State.SETTLED:
            settled.add(row.request_key)
    balance = ledger.balance("book")
    ledger.close()
    return Found(
        attempts=len(rows),
        answers=len(settled),
        unknown=sum(row.state is State.UNKNOWN for row in rows),
        again=again,
        charged=balance.used_tokens,
        reserved=balance.reserved_tokens,
    )


def _cut_answers(book: Book) -> tuple[int, int]:
    """How many answers were cut, and how many whole lines of prose in them are not in the drafts."""
    drafts = "\n".join(path.read_text(encoding="utf-8") for path in (book.checkout(0) / "drafts").glob("*.md"))
    drafted = set(drafts.splitlines())
    answers = (json.loads(line).get("answer") for line in export(read_server(book.address()), texts=True))
    texts = [answer["text"] for answer in answers if answer and answer["finish"] == "cut"]
    prose = [line for text in texts for line in text.splitlines()[:-1] if line[:1].isalpha()]
    return len(texts), sum(line not in drafted for line in prose)


# --- all of it ---------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Stage:
    """The database and the author that all parts share."""

    folder: Path
    database: int
    author: int
    latency: float
    cut_every: int

    def book(self, name: str, sections: int, **options: Any) -> Book:
        return Book(
            folder=self.folder,
            name=name,
            sections=sections,
            database=self.database,
            author=self.author,
            **options,
        )

    def billed(self) -> int:
        """Tokens that the author has billed so far."""
        return int(self._books()["billed_tokens"])

    def requests(self) -> int:
        """Requests that the author has had so far."""
        return len(self._books()["requests"])

    def _books(self) -> Any:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.author}/books") as answer:
            return json.load(answer)


@contextmanager
def staged(latency: float, cut_every: int, answers: int) -> Iterator[Stage]:
    """A PostgreSQL server and an author, gone when the block ends. The author breaks off every ``cut_every``-th of its
    first ``answers``.
    """
    with (
        tempfile.TemporaryDirectory(prefix="expand-workers-") as folder,
        postgres_server.running(durable=True) as address,
    ):
        words = [sys.executable, "-m", "expand.testing", "--latency", str(latency)]
        if cut_every:
            behaviours = ["broken_stream" if n % cut_every == 0 else "normal" for n in range(1, answers + 1)]
            words += ["--script", ",".join(behaviours)]
        author = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
        try:
            assert author.stdout is not None
            base_url = author.stdout.readline().strip()
            yield Stage(
                folder=Path(folder),
                database=int(address.rpartition(":")[2].partition("/")[0]),
                author=int(base_url.rpartition(":")[2].partition("/")[0]),
                latency=latency,
                cut_every=cut_every,
            )
        finally:
            author.terminate()
            author.wait(10)


def main() -> int:
    """Run the parts and print their figures; 1 when one of them is not as it should be."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--sections", type=int, default=160, help="for the throughput (160)")
    parser.add_argument("--kills", type=int, default=20, help="workers to kill (20)")
    parser.add_argument("--killed-sections", type=int, default=320, help="sections meanwhile (320)")
    parser.add_argument("--latency", type=float, default=1.0, help="seconds an answer takes (1)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--cut-every", type=int, default=0, help="break off every N-th answer in mid-stream (none)")
    parser.add_argument("--only", choices=("processes", "namespaces", "kills"))
    chosen = parser.parse_args()
    good = True
    answers = 8 * (chosen.sections + chosen.killed_sections)
    with staged(chosen.latency, chosen.cut_every, answers) as stage:
        if chosen.only in (None, "processes"):
            good &= compare(stage, "processes", [HERE, HERE], chosen.sections)
        if chosen.only in (None, "namespaces"):
            if possible():
                with machines(2, [stage.database, stage.author]) as two:
                    good &= compare(stage, "namespaces", two, chosen.sections)
            else:
                print("namespaces  left out: they need root and the command ip", flush=True)
        if chosen.only in (None, "kills"):
            good &= kill(stage, chosen.killed_sections, chosen.kills, chosen.seed)
    print("all as it should be" if good else "NOT as it should be")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
