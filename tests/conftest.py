"""No test reaches past this machine, and none sees the developer's own settings."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from ledgers import postgres, server_address, site  # noqa: F401 - fixtures
from network import this_machine_only

from expand import redaction
from expand.prompts.rendering import Prompts, packaged_folder
from expand.prompts.template_sandbox import MeteredEnvironment

_NUMBERS = itertools.count()

# For an example of a property. The usual 0.2 s are passed where other processes have the machine's cores.
settings.register_profile("expand", deadline=5000)
settings.load_profile("expand")


@pytest.fixture(autouse=True, scope="session")
def _no_network() -> Iterator[None]:
    """Any connection and any name look-up beyond 127.0.0.1 raises, whatever library asks for it."""
    with this_machine_only():
        yield


@pytest.fixture(autouse=True, scope="session")
def _compiled_once() -> Iterator[None]:
    """The packaged templates are parsed, compiled and checked once for all tests, as they are once in a process of the
    tool."""
    known: dict[tuple[Any, ...], Any] = {}
    shipped = str(packaged_folder())

    def once(name: str) -> Any:
        original = getattr(MeteredEnvironment, name)

        def made(self: MeteredEnvironment, source: Any, *more: Any, **options: Any) -> Any:
            if options or not isinstance(source, str) or not str(more[-1] if more else "").startswith(shipped):
                return original(self, source, *more, **options)
            key = (name, type(self), source, *more)
            if key not in known:
                known[key] = original(self, source, *more)
            return known[key]

        return made

    unknown_names = Prompts._unknown_names

    def unknown_names_once(self: Prompts, template: str) -> Any:
        paths = self.sources(template)
        if not all(str(path).startswith(shipped) for path in paths):
            return unknown_names(self, template)
        if paths not in known:
            known[paths] = [*unknown_names(self, template)]
        return known[paths]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(MeteredEnvironment, "_parse", once("_parse"))
        patch.setattr(MeteredEnvironment, "compile", once("compile"))
        patch.setattr(Prompts, "_unknown_names", unknown_names_once)
        yield


@pytest.fixture(scope="session")
def _state_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("state")


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch, _state_folder: Path) -> None:
    """No key, base URL, proxy, setting or consent of the developer's is seen by a test, nor changed."""
    monkeypatch.setenv("XDG_STATE_HOME", str(_state_folder))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(_state_folder / f"config-{next(_NUMBERS)}"))  # made when it is written
    for name in list(os.environ):
        if name.startswith(("OPENAI_", "EXPAND_")) or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
def _keys_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test hides the keys of another."""
    monkeypatch.setattr(redaction, "KEYS", set())
    monkeypatch.setattr(redaction, "WORDS", set())
