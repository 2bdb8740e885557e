"""Settings: command line over environment over ``expand.toml`` over defaults.

``OPENAI_API_KEY`` and ``OPENAI_BASE_URL`` mean what they mean for the OpenAI SDK. With neither set,
the embedded local model is the author.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from expand.errors import InputError, Place
from expand.model.profile import EMBEDDED_MODEL

DEFAULT_MODEL = "gpt-4.1"
LOCAL_HOSTS = frozenset({"127.0.0.1", "localhost", "::1"})
OnUnknown = Literal["retry", "hold"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """What a run goes by. ``models`` are profile overrides by model name or glob.

    ``api_key`` and ``base_url`` are None where the SDK's own defaults hold; ``embedded`` says that
    the author is the local model.
    """

    model: str = DEFAULT_MODEL
    base_url: str | None = None
    api_key: str | None = field(default=None, repr=False)
    concurrency: int | None = None
    timeout_seconds: float = 600.0
    on_unknown: OnUnknown = "retry"
    models: Mapping[str, Mapping[str, object]] = field(default_factory=dict)

    @property
    def embedded(self) -> bool:
        """Whether the embedded local model is the author."""
        return self.model == EMBEDDED_MODEL

    @property
    def local(self) -> bool:
        """Whether the base URL is on this machine, where no key is needed."""
        return self.base_url is not None and urlsplit(self.base_url).hostname in LOCAL_HOSTS


@dataclass(frozen=True, kw_only=True, slots=True)
class Overrides:
    """What the command line says; None where it says nothing."""

    model: str | None = None
    base_url: str | None = None
    concurrency: int | None = None
    on_unknown: str | None = None


def read_settings(
    path: Path, *, environment: Mapping[str, str], overrides: Overrides | None = None
) -> Settings:
    """Settings of the workspace whose ``expand.toml`` is ``path``. Raises ``InputError``."""
    overrides = overrides or Overrides()
    table = _table(path)
    author = dict(_section(table, "author", path))
    models = {
        name: _section(_section(table, "models", path), name, path)
        for name in _section(table, "models", path)
    }
    _refuse_unknown(table, ("author", "models"), path)
    _refuse_unknown(
        author, ("model", "base_url", "concurrency", "timeout_seconds", "on_unknown"), path
    )
    base_url = overrides.base_url or environment.get("OPENAI_BASE_URL") or author.get("base_url")
    api_key = environment.get("OPENAI_API_KEY") or None
    model = overrides.model or environment.get("EXPAND_MODEL") or author.get("model")
    if model in ("embedded", EMBEDDED_MODEL) or (model is None and not base_url and not api_key):
        model, base_url = EMBEDDED_MODEL, None
    settings = Settings(
        model=_checked(model or DEFAULT_MODEL, str, "author.model", path),
        base_url=_checked(base_url, str, "author.base_url", path) if base_url else None,
        api_key=api_key,
    )
    if settings.base_url and urlsplit(settings.base_url).scheme not in ("http", "https"):
        raise InputError(
            f"the base URL is {settings.base_url!r}",
            remedy="give one such as http://127.0.0.1:8080/v1",
            place=_place(path, "base_url") if base_url == author.get("base_url") else None,
        )
    settings = _with_numbers(settings, author, overrides, environment, path)
    return replace(settings, models=models)


def require_author(settings: Settings, *, path: Path) -> None:
    """Refuses settings under which nothing could be sent, before anything is spent."""
    if settings.embedded or settings.local or settings.api_key:
        return
    where = f"at {settings.base_url}" if settings.base_url else "by its provider"
    raise InputError(
        f"model {settings.model} is served {where}, and OPENAI_API_KEY is not set",
        remedy="set it, give --base-url http://127.0.0.1:PORT/v1 for a local server, or give "
        "--model embedded for the local model",
        place=Place(path=path),
    )


def _with_numbers(
    settings: Settings,
    author: Mapping[str, object],
    overrides: Overrides,
    environment: Mapping[str, str],
    path: Path,
) -> Settings:
    concurrency: object = overrides.concurrency
    if concurrency is None and (text := environment.get("EXPAND_CONCURRENCY")):
        if not text.isdecimal() or not int(text):
            raise InputError(
                f"EXPAND_CONCURRENCY is {text!r}", remedy="give a whole number above 0"
            )
        concurrency = int(text)
    if concurrency is None:
        concurrency = author.get("concurrency")
    if concurrency is not None:
        number = _checked(concurrency, int, "author.concurrency", path)
        if number < 1:
            raise InputError(
                f"concurrency is {number}", remedy="give a whole number above 0",
                place=_place(path, "concurrency"),
            )  # fmt: skip
        settings = replace(settings, concurrency=number)
    if (timeout := author.get("timeout_seconds")) is not None:
        seconds = _checked(timeout, (int, float), "author.timeout_seconds", path)
        if seconds <= 0:
            raise InputError(
                f"timeout_seconds is {seconds}", remedy="give seconds above 0",
                place=_place(path, "timeout_seconds"),
            )  # fmt: skip
        settings = replace(settings, timeout_seconds=float(seconds))
    on_unknown = overrides.on_unknown or author.get("on_unknown") or "retry"
    if on_unknown == "hold":
        return replace(settings, on_unknown="hold")
    if on_unknown != "retry":
        raise InputError(
            f"on_unknown is {on_unknown!r}", remedy="give retry or hold",
            place=_place(path, "on_unknown"),
        )  # fmt: skip
    return settings


def _table(path: Path) -> dict[str, object]:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(
            f"cannot be read: {error.strerror}", remedy="make it a readable file",
            place=Place(path=path),
        ) from error  # fmt: skip
    try:
        return tomllib.loads(data.decode("utf-8"))
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise InputError(
            f"byte {error.start} is not UTF-8", remedy="save the file as UTF-8",
            place=Place(path=path, line=line),
        ) from error  # fmt: skip
    except tomllib.TOMLDecodeError as error:
        at = re.search(r"\(at line (\d+), column (\d+)\)", str(error))
        place = Place(path=path, line=int(at[1]), column=int(at[2])) if at else Place(path=path)
        what = re.sub(r" \(at .*\)$", "", str(error))
        raise InputError(what, remedy="mend the TOML", place=place) from error


def _section(table: Mapping[str, object], name: str, path: Path) -> Mapping[str, object]:
    value = table.get(name, {})
    if not isinstance(value, dict):
        raise InputError(
            f"{name} is {value!r}", remedy=f"write it as a table: [{name}]",
            place=_place(path, name),
        )  # fmt: skip
    return value


def _refuse_unknown(table: Mapping[str, object], known: tuple[str, ...], path: Path) -> None:
    for key in table:
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            hint = f"did you mean {near[0]}?" if near else f"known are: {', '.join(known)}"
            raise InputError(f"unknown setting {key!r}", remedy=hint, place=_place(path, key))


def _checked(value: object, kind, name: str, path: Path):  # type: ignore[no-untyped-def]
    if not isinstance(value, kind) or isinstance(value, bool):
        wanted = {str: "a text in quotes", int: "a whole number"}.get(kind, "a number")
        raise InputError(
            f"{name} is {value!r}", remedy=f"give {wanted}",
            place=_place(path, name.rpartition(".")[2]),
        )  # fmt: skip
    return value


def _place(path: Path, key: str) -> Place:
    """Where a key stands in the file, as tomllib keeps no positions."""
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if found := re.match(rf"\s*\[?\[?[\"']?{re.escape(key)}\b", line):
            return Place(path=path, line=number, column=found.end() - len(key) + 1)
    return Place(path=path)
