"""Whatever a provider does: no traceback, no text lost, no purchase without bound, and a word about it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from behaviour_runs import ALL, run_behaviour
from behaviours import Behaviour, BehaviourServer

from expand.client import retry_policy
from expand.client.client import BudgetedClient

MOST_CHARGED = 1.5
"""Tokens charged for each that the dry run reserves, at the most."""


@pytest.fixture(scope="module")
def server() -> Iterator[BehaviourServer]:
    with BehaviourServer(ALL) as running:
        yield running


def test_names_are_unique() -> None:
    assert len({behaviour.name for behaviour in ALL}) == len(ALL)


@pytest.mark.parametrize("behaviour", ALL, ids=lambda behaviour: behaviour.name)
def test_behaviour(
    behaviour: Behaviour, server: BehaviourServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retry_policy, "FIRST_WAIT_SECONDS", 0.01)
    monkeypatch.setattr(retry_policy, "JITTER_SECONDS", 0.01)
    if behaviour.most_requests is not None:
        # The first request goes ahead alone for a fifth of a second. On a busy machine its answer takes longer.
        monkeypatch.setitem(BudgetedClient.__init__.__kwdefaults__ or {}, "pilot_seconds", 5.0)
    seen = run_behaviour(tmp_path, server, behaviour)
    assert seen.ran.code in behaviour.codes, seen.ran.err + seen.ran.out
    assert "Traceback" not in seen.ran.err
    assert seen.lost == ()
    assert seen.charged <= MOST_CHARGED * seen.reserved
    assert seen.charged_again == 0 or seen.ran.code == 4
    assert seen.ledger_ok
    assert set(behaviour.found) <= set(seen.findings)
    assert behaviour.said in seen.ran.err
    assert behaviour.drafted in seen.draft
    assert not behaviour.kept_out or behaviour.kept_out not in seen.draft
    assert behaviour.most_requests is None or seen.requests <= behaviour.most_requests
