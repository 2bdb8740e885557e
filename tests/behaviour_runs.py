"""Run ``expand chapter`` against a behaviour of a provider, and tell what was bought, drafted, found and said.

``python tests/behaviour_table.py`` prints the table of all of them.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from behaviours import Behaviour, BehaviourServer, failures, loops, plain, text, wire
from workspaces import Ran, expand, small

ALL: Sequence[Behaviour] = (
    *plain.BEHAVIOURS,
    *wire.BEHAVIOURS,
    *text.BEHAVIOURS,
    *loops.BEHAVIOURS,
    *failures.BEHAVIOURS,
)


OPENING = 1000
"""Tokens that the workspace's book had spent before."""


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What came of a run. ``reserved`` is what its dry run reserves, ``charged`` what the budget says was used;
    ``lost`` are texts that the server sent and the ledger does not hold. ``charged_again`` is what a second run
    is charged.
    """

    ran: Ran
    requests: int
    reserved: int
    charged: int
    charged_again: int
    answers: tuple[str, ...]
    lost: tuple[str, ...]
    draft: str
    findings: tuple[str, ...]
    seconds: float
    written_bytes: int
    ledger_ok: bool

    @property
    def share(self) -> float:
        """Tokens charged for each that the dry run reserves."""
        return self.charged / self.reserved


def run_behaviour(folder: Path, server: BehaviourServer, behaviour: Behaviour) -> Seen:
    """A small workspace's chapter, drafted by the model of that name."""
    place = small(folder)
    (place / "expand.toml").write_text(f'[author]\nmodel = "{behaviour.name}"\n{behaviour.settings}', encoding="utf-8")
    base_url = server.base_url.removesuffix("/v1") + behaviour.base
    options = ("--base-url", base_url, *behaviour.options)
    planned = expand(place, "chapter", "07", "--dry-run", "--json", *options)
    assert planned.code == 0, planned.err
    began = time.monotonic()
    ran = expand(place, "chapter", "07", "--json", *options)
    seconds = time.monotonic() - began
    used = _used(place)
    requests = len(server.calls.get(behaviour.name, ()))
    sent = [reply.text for reply in server.sent.get(behaviour.name, ()) if reply.text]
    stored = _answers(place)
    draft = place / "drafts" / "07.md"
    written = server.written_bytes.get(behaviour.name, 0)
    used_again = used
    if ran.code != 4:  # a model that cannot be reached is asked again, of course
        expand(place, "chapter", "07", "--json", *options)
        used_again = _used(place)
    return Seen(
        ran=ran,
        requests=requests,
        reserved=planned.json["total"]["reserved_tokens"],
        charged=used - OPENING,
        charged_again=used_again - used,
        answers=stored,
        lost=tuple(text for text in sent if text not in stored),
        draft=draft.read_bytes().decode() if draft.is_file() else "",
        findings=_findings(ran.out),
        seconds=seconds,
        written_bytes=written,
        ledger_ok=expand(place, "ledger", "verify").code == 0,
    )


def _used(place: Path) -> int:
    ran = expand(place, "budget", "--format", "json")
    assert ran.code == 0, ran.err
    return int(ran.json["used"])


def _answers(place: Path) -> tuple[str, ...]:
    path = place / ".expand" / "ledger.db"
    if not path.is_file():
        return ()
    with closing(sqlite3.connect(path)) as connection:
        return tuple(text for (text,) in connection.execute("SELECT text FROM answer") if text)


def _findings(out: str) -> tuple[str, ...]:
    if not out.strip():
        return ()
    chapters: list[dict[str, Any]] = json.loads(out)["chapters"]
    found = [finding for chapter in chapters for finding in chapter.get("findings", ())]
    found += [f for chapter in chapters for section in chapter["sections"] for f in section["findings"]]
    return tuple(dict.fromkeys(finding["kind"] for finding in found))
