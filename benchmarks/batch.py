"""Batches under fire: 500 requests, the process killed between every two steps in turn.

Run it: ``uv run python -m benchmarks.batch``. For each step of ``--batch submit`` and ``--batch
collect`` there is a workspace and a provider of its own (``tests/batch_server.py``): a process
does the step and is killed (SIGKILL) right after it, or by the provider in the middle of a call;
then the same command is given again, as a user would. In the end the books of the provider are held
against the ledger: one batch made, each request worked on once, every section drafted, the bill at
batch price, nothing reserved, the ledger verified.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing as mp
import os
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from batch_server import BatchServer

from expand.batch import batch_backend
from expand.drafting.run_options import RunOptions
from expand.ledger import Ledger, Order, verify
from expand.ledger.batches import Batches, BatchRow, Stage
from expand.ledger.values import Verdict
from expand.llm.batch_api import BatchAuthor, BatchLine, RemoteBatch
from expand.llm.types import Usage
from expand.outline import Plan
from expand.settings import Overrides, Settings, read_settings
from expand.workspace import Workspace

SECTIONS = 10
LINES = 20
RATIO = 1.55
"""A first question asks for 65 % of a section: an author of this habit ends each with it."""

SETTINGS = """\
[author]
model = "batched"
[models.batched.prices]
prompt = 2.0
completion = 8.0
"""
PICO = {"prompt": 1_000_000, "completion": 4_000_000}
"""Pico-dollars a token at batch price: half of the above."""


# --- a process that is killed -----------------------------------------------------------------


class Fuse:
    """Counts the steps of this process and kills it after one of them."""

    def __init__(self, after: int) -> None:
        self.after = after
        self.steps: list[str] = []

    def step(self, name: str) -> None:
        """A step was done."""
        self.steps.append(name)
        if len(self.steps) == self.after:
            os.kill(os.getpid(), signal.SIGKILL)


FUSE = Fuse(0)


class FusedBatches(Batches):
    """The ledger's side of each step."""

    def prepare(self, *args: Any, **more: Any) -> tuple[BatchRow, list[tuple[Order, Verdict]]]:
        prepared = super().prepare(*args, **more)
        FUSE.step("prepared")
        return prepared

    def move(self, batch: BatchRow, stage: Stage, **columns: Any) -> BatchRow:
        done = "marked sent" if stage is Stage.CREATING else "noted the batch"
        return self._done(done, super().move(batch, stage, **columns))

    def settle(self, batch: BatchRow, lines: Iterable[BatchLine], cost: Callable[[Usage], int | None]) -> int:
        done = super().settle(batch, lines, cost)
        FUSE.step(f"settled {done}")
        return done

    def end(self, batch: BatchRow, stage: Stage, **more: Any) -> BatchRow:
        return self._done("ended", super().end(batch, stage, **more))

    @staticmethod
    def _done(name: str, row: BatchRow) -> BatchRow:
        FUSE.step(name)
        return row


class FusedAuthor(BatchAuthor):
    """The provider's side of each step."""

    async def upload(self, lines: BinaryIO, *, name: str) -> str:
        file_id = await super().upload(lines, name=name)
        FUSE.step("uploaded")
        return file_id

    async def create(self, file_id: str, *, metadata: Mapping[str, str]) -> RemoteBatch:
        made = await super().create(file_id, metadata=metadata)
        FUSE.step("made")
        return made

    async def retrieve(self, batch_id: str) -> RemoteBatch:
        found = await super().retrieve(batch_id)
        FUSE.step("looked")
        return found

    async def results(self, file_id: str) -> AsyncIterator[bytes]:
        async for line in super().results(file_id):
            yield line
        FUSE.step("read a file")


def act(root: Path, base_url: str, action: str, after: int, pipe: Any) -> None:
    """Do one command in this process, which ends after its ``after``-th step; 0 for never."""
    FUSE.after = after
    vars(batch_backend).update(Batches=FusedBatches, BatchAuthor=FusedAuthor)
    workspace = Workspace(root=root)
    settings = settings_of(workspace, base_url)

    async def run() -> None:
        backend = batch_backend.BatchBackend(workspace, settings)
        if action == "submit":
            done = await backend.submit(options_of(workspace))
            pipe.send((FUSE.steps, done.problem or "; ".join(done.refused), ()))
        else:
            got = await backend.collect()
            pipe.send((FUSE.steps, "; ".join(got.problems), got.missing))

    asyncio.run(run())


def settings_of(workspace: Workspace, base_url: str) -> Settings:
    """The workspace's settings with the server's address."""
    return read_settings(workspace.settings_path, environment={}, overrides=Overrides(base_url=base_url))


def options_of(workspace: Workspace) -> RunOptions:
    """Everything."""
    return RunOptions(chapters=workspace.chapter_ids(), plan=Plan.FULL, language="en")


# --- a workspace ------------------------------------------------------------------------------


def make_workspace(root: Path, requests: int) -> None:
    """A book of as many sections as requests, ten in a chapter."""
    ids = [f"{number:03}" for number in range(1, requests // SECTIONS + 1)]
    listed = "".join(
        f'  - {{id: "{i}", title: Chapter {i}, lines: 0, target_lines: {SECTIONS * LINES}}}\n' for i in ids
    )
    texts = {
        "expand.toml": SETTINGS,
        "outlines/book.yaml": "title: A book of batches\nlanguage: en\nlanguages: [en]\n"
        f"allowance: {{tokens: {requests * 20_000}}}\nchapters:\n{listed}",
    }
    for i in ids:
        sections = "".join(
            f"  - {{title: Part {i}-{n} of the works, lines: {LINES}}}\n" for n in range(1, SECTIONS + 1)
        )
        texts[f"outlines/{i}.yaml"] = (
            f'id: "{i}"\ntitle: Chapter {i}\nsource: chapters/{i}_source.md\n'
            f"target_lines: {SECTIONS * LINES}\nsections:\n{sections}"
        )
    for name, text in texts.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


# --- a scenario -------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """What one scenario showed. ``drafted`` counts sections; ``charged`` and ``billed`` are in
    tokens, the costs in pico-dollars.
    """

    name: str
    killed: bool
    made: int
    again: int
    drafted: int
    charged: int
    billed: int
    cost: int
    bill: int
    reserved: int
    findings: tuple[str, ...]
    problems: tuple[str, ...]
    seconds: float
    requests: int

    @property
    def ok(self) -> bool:
        """Whether everything held."""
        return (
            self.made == 1
            and self.again == 0
            and self.drafted == self.requests
            and self.charged == self.billed
            and self.cost == self.bill
            and not (self.reserved or self.findings or self.problems)
        )


class Scenario:
    """One workspace and one provider. ``action`` is the command that is killed, after its
    ``after``-th step, or by the provider in the middle of ``trap``.
    """

    def __init__(self, template: Path, requests: int) -> None:
        self._template = template
        self._requests = requests
        self._context = mp.get_context("forkserver")
        self.steps: list[str] = []

    def run(self, name: str, action: str, after: int, trap: str = "") -> Result:
        """Kill, go on, and compare."""
        began = time.monotonic()
        problems: list[str] = []
        with tempfile.TemporaryDirectory() as folder, BatchServer(ratio=RATIO) as server:
            root = Path(folder) / "book"
            shutil.copytree(self._template, root)
            killed = False
            missing: Sequence[Any] = ()
            for command in ("submit", "collect"):
                if command == action:
                    killed = self._fall(root, server, command, after, trap)
                steps, problem, missing = self._act(root, server, command)
                if command == action and not after and not trap:
                    self.steps = steps
                problems += [problem] if problem else []
            return self._compare(name, root, server, missing, problems, killed, began)

    def _start(self, root: Path, server: BatchServer, command: str, after: int) -> Any:
        near, far = self._context.Pipe()
        child = self._context.Process(target=act, args=(root, server.base_url, command, after, far))
        child.start()
        far.close()
        return child, near

    def _fall(self, root: Path, server: BatchServer, command: str, after: int, trap: str) -> bool:
        if not after and not trap:
            return False
        child, _ = self._start(root, server, command, after)
        server.victim = child.pid or 0
        if trap == "create":
            server.trap = "kill"
        elif trap == "upload":
            server.upload_trap = "kill"
        child.join()
        return bool(child.exitcode == -signal.SIGKILL)

    def _act(self, root: Path, server: BatchServer, command: str) -> Any:
        child, near = self._start(root, server, command, 0)
        try:
            return near.recv()
        except EOFError:
            return [], f"{command} ended with {child.exitcode}", ()
        finally:
            child.join()

    def _compare(
        self,
        name: str,
        root: Path,
        server: BatchServer,
        missing: Sequence[Any],
        problems: list[str],
        killed: bool,
        began: float,
    ) -> Result:
        place = Workspace(root=root).ledger_path
        ledger = Ledger.read(place)
        assert ledger is not None
        balance = ledger.balance("book")
        ledger.close()
        seen = Counter(entry.custom_id for entry in server.books)
        drafts = "".join(p.read_text(encoding="utf-8") for p in (root / "drafts").glob("*.md"))
        headings = sum(line.startswith("## ") and "Part" in line for line in drafts.splitlines())
        return Result(
            name=name,
            killed=killed,
            made=len(server.batches),
            again=sum(count - 1 for count in seen.values()),
            drafted=headings - len(missing),
            charged=balance.used_tokens,
            billed=server.billed_tokens,
            cost=balance.used_pico_usd,
            bill=sum(e.prompt * PICO["prompt"] + e.completion * PICO["completion"] for e in server.books),
            reserved=balance.reserved_tokens,
            findings=verify(place).findings,
            problems=tuple(problems),
            seconds=time.monotonic() - began,
            requests=self._requests,
        )


HEAD = f"{'killed':38} made again drafted charged = billed  cost = bill, USD  reserved ledger seconds"


def line(result: Result) -> str:
    """One row of the table."""
    killed = "" if result.killed else " (not killed)"
    return (
        f"{result.name + killed:38} {result.made:4} {result.again:5} {result.drafted:7} "
        f"{result.charged:7} {'=' if result.charged == result.billed else '#'} "
        f"{result.billed:7} {result.cost / 1e12:8.6f} "
        f"{'=' if result.cost == result.bill else '#'} {result.bill / 1e12:8.6f} "
        f"{result.reserved:8} {'BROKEN' if result.findings else 'ok':>6} {result.seconds:7.1f}"
    )


def main() -> int:
    """Run all scenarios and print the table; 1 when something broke."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--requests", type=int, default=500, help="requests a batch (500)")
    parser.add_argument("--actions", default="submit,collect", help="which commands are killed")
    chosen = parser.parse_args()
    mp.set_forkserver_preload(["expand.batch.batch_backend", "expand.llm.batch_api", "tiktoken"])
    print(HEAD)
    results: list[Result] = []

    def note(result: Result) -> None:
        results.append(result)
        print(line(result), flush=True)
        for said in (*result.problems, *result.findings):
            print(f"     {said}", flush=True)

    with tempfile.TemporaryDirectory() as folder:
        template = Path(folder) / "template"
        make_workspace(template, chosen.requests)
        scenario = Scenario(template, chosen.requests)
        for action in chosen.actions.split(","):
            note(scenario.run(f"{action}: never", action, 0))
            for number, step in enumerate(scenario.steps, 1):
                note(scenario.run(f"{action}: after {number} {step}", action, number))
            if action == "submit":
                note(scenario.run("submit: in the upload", action, 0, "upload"))
                note(scenario.run("submit: in the creation", action, 0, "create"))
    broken = [result.name for result in results if not result.ok]
    kills = sum(result.killed for result in results)
    print(
        f"{len(results)} scenarios of {chosen.requests} requests, {kills} kills: "
        + (f"BROKEN: {broken}" if broken else "one submission each, all drafted, bill as charged")
    )
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
