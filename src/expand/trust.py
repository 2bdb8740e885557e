"""Trust: what a workspace's own file says about destinations, and whether the user has agreed to it.

A workspace may be a stranger's. Where requests, keys and the ledger go is therefore the user's to say: on the command
line, in the environment, or by trusting the workspace. Trust is kept outside of the workspace, in the user's own
configuration directory, for one folder and one content: a changed destination has to be agreed to again, a changed
tier or model name does not. As with direnv, a file named by the hash of folder and content stands for the consent, so
processes need no lock, and nothing in the workspace can pretend to it.
"""

import hashlib
import json
import os
import shlex
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from expand.errors import InputError, Place, UntrustedError
from expand.ledger_location import is_server, read_server
from expand.schema.input_file import InputFile

VARIABLE = "EXPAND_TRUST"
"""Trusts every workspace that the process opens, for CI and for containers."""

ROUTING_KEYS = frozenset({"base_url", "headers", "hosts", "key_header", "key_variable", "provider"})
"""Keys of ``[author]``, of a provider or of a model that decide where a request goes and what it carries."""
_HARMLESS_PROVIDERS = frozenset({"openai", "embedded", "compatible"})
"""Where requests go if no file says anything, or nowhere."""


class Statement(NamedTuple):
    """A key of ``expand.toml`` that names a destination, with its value and where it stands."""

    path: tuple[str, ...]
    value: Any
    place: Place

    @property
    def key(self) -> str:
        """The key as TOML writes it: ``author.base_url``."""
        return ".".join(self.path)

    @property
    def shown(self) -> str:
        """The value in ASCII, so that no letter passes for another. Passwords and the texts of headers are left out."""
        match self.value:
            case Mapping():
                text = ", ".join(self.value)
            case list():
                text = ", ".join(map(str, self.value))
            case str() if self.path == ("ledger",) and is_server(self.value):
                try:
                    text = str(read_server(self.value))
                except InputError:
                    text = "postgresql://…"  # opening it says what is wrong
            case _:
                text = str(self.value)
        return text.encode("unicode_escape").decode("ascii")


class Destinations(NamedTuple):
    """The destinations that the file of one workspace names, in the order of their keys; ``root`` is resolved."""

    root: Path
    statements: tuple[Statement, ...]

    @property
    def digest(self) -> str:
        """A hash of the folder and of all that its file says about destinations."""
        said = [[list(statement.path), statement.value] for statement in self.statements]
        text = json.dumps([str(self.root), said], sort_keys=True, default=str)
        return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()

    @property
    def trusted(self) -> bool:
        """Whether the user has agreed to exactly these."""
        if not self.statements:
            return True
        folder = _folder()
        return folder is not None and (folder / f"{self.digest}.json").is_file()

    def statement(self, *path: str) -> Statement | None:
        """What stands under a key; None where the file does not state it, or it is no destination."""
        return next((statement for statement in self.statements if statement.path == path), None)

    def refusal(self, *path: str) -> UntrustedError:
        """The error for a use of these destinations; it names the one under ``path``, or else the first."""
        first = self.statement(*path) or self.statements[0]
        return UntrustedError(
            f"{first.key} is {first.shown}, and you have not said that you trust this workspace",
            remedy=f"look at what it names with `expand trust {shlex.quote(str(self.root))}`; "
            f"where the files are your own (CI), set {VARIABLE}=1",
            place=first.place,
            root=self.root,
        )


def destinations(path: Path, file: InputFile) -> Destinations:
    """The destinations that an ``expand.toml``, which has been read from ``path``, names."""
    root = Path(os.path.realpath(path.parent))
    found = sorted(_routing(file.data))
    ledger = file.data.get("ledger")
    if isinstance(ledger, str) and (is_server(ledger) or _is_outside(root, ledger)):
        found.insert(0, (("ledger",), ledger))
    return Destinations(root, tuple(Statement(key, value, file.value(key)) for key, value in found))


def without_routing(data: Mapping[str, Any]) -> dict[str, Any]:
    """The file's data as if it named no host, provider, key or header."""
    kept = {name: dict(value) if isinstance(value, Mapping) else value for name, value in data.items()}
    for (*outer, key), _ in _routing(data):
        table = kept
        for name in outer:
            table[name] = dict(table[name])
            table = table[name]
        del table[key]
    return kept


def vouched_for(environment: Mapping[str, str]) -> bool:
    """Whether the environment trusts every workspace. Raises ``InputError`` for a value that is neither yes nor no."""
    said = environment.get(VARIABLE, "").strip().lower()
    if said in ("", "0", "false", "no"):
        return False
    if said in ("1", "true", "yes"):
        return True
    raise InputError(f"{VARIABLE} is {said!r}", remedy="give 1 to trust the workspaces that are opened, or unset it")


def remember(named: Destinations) -> Path:
    """Keeps the user's consent to these destinations. Returns the file. Raises ``InputError`` where it cannot."""
    folder = _folder()
    record = {
        "workspace": str(named.root),
        "trusted_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "names": {statement.key: statement.shown for statement in named.statements},
    }
    try:
        if folder is None:
            raise OSError("there is no home directory")
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = folder / f"{named.digest}.json"
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(record, file, indent=2)
    except OSError as error:
        raise InputError(
            f"your consent cannot be kept in {folder or 'your configuration directory'}: {error.strerror or error}",
            remedy=f"make it writable, name another in XDG_CONFIG_HOME, or set {VARIABLE}=1",
        ) from error
    return path


def forget(root: Path) -> int:
    """Takes back every consent for a folder. Returns how many there were."""
    folder, resolved = _folder(), os.path.realpath(root)
    count = 0
    for path in folder.glob("*.json") if folder else ():
        try:
            if json.loads(path.read_text(encoding="utf-8"))["workspace"] == resolved:
                path.unlink()
                count += 1
        except (OSError, ValueError, KeyError, TypeError):
            continue  # not one of ours, or gone already
    return count


def _routing(data: Mapping[str, Any]) -> Iterator[tuple[tuple[str, ...], Any]]:
    """The keys that decide where requests go, and their values."""
    tables: list[tuple[tuple[str, ...], Any]] = [(("author",), data.get("author"))]
    for kind in ("models", "providers"):
        named = data.get(kind)
        tables += [((kind, name), table) for name, table in named.items()] if isinstance(named, Mapping) else []
    for outer, table in tables:
        for key in ROUTING_KEYS & set(table if isinstance(table, Mapping) else ()):
            if key != "provider" or str(table[key]) not in _HARMLESS_PROVIDERS:
                yield (*outer, key), table[key]


def _is_outside(root: Path, ledger: str) -> bool:
    """Whether a ledger's file is outside of the workspace, also by way of a symbolic link."""
    try:
        return not Path(os.path.realpath(root / Path(ledger).expanduser())).is_relative_to(root)
    except (ValueError, RuntimeError):  # no path, or somebody's home whom nobody knows
        return True


def _folder() -> Path | None:
    """Where consents are kept; None where the user has no directory of their own. A relative one could be the
    workspace's."""
    import platformdirs  # start-up time: few workspaces name a destination

    path = platformdirs.user_config_path("expand", appauthor=False) / "trusted"
    return path if path.is_absolute() else None
