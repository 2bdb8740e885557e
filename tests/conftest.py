"""No test reaches past this machine, and none sees the developer's own settings."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from ledgers import postgres, server_address, site  # noqa: F401 - fixtures

from expand import redaction
from expand.testing import this_machine_only


@pytest.fixture(autouse=True, scope="session")
def _no_network() -> Iterator[None]:
    """Any connection and any name look-up beyond 127.0.0.1 raises, whatever library asks for it."""
    with this_machine_only():
        yield


@pytest.fixture(scope="session")
def _state_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("state")


@pytest.fixture(autouse=True)
def _clean_environment(
    monkeypatch: pytest.MonkeyPatch, _state_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """No key, base URL, proxy, setting or consent of the developer's is seen by a test, nor changed."""
    monkeypatch.setenv("XDG_STATE_HOME", str(_state_folder))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path_factory.mktemp("config")))
    for name in list(os.environ):
        if name.startswith(("OPENAI_", "EXPAND_")) or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
def _keys_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test hides the keys of another."""
    monkeypatch.setattr(redaction, "KEYS", redaction.Keys())
