"""Serve one GGUF file with llama.cpp on 127.0.0.1, as a process: ``python -P -m expand.llm.local_server MODEL``.

It is a process of its own because some model files make llama.cpp end or block the process that it runs in. MODEL is
JSON with the fields of ``ServedModel``. The process writes one line of JSON, ``{"url": …}`` or ``{"error": …}``. It
ends when its standard input does, and so with the process that started it, however that ends.
"""

import json
import os
import sys

import xllamacpp

_SILENT = -1
"""The verbosity at which llama.cpp writes nothing to the C streams."""


def main() -> None:
    """Load the model, tell where it is served, and wait for the end."""
    wanted = json.loads(sys.argv[1])
    parameters = xllamacpp.CommonParams()
    parameters.model.path = wanted["path"]
    parameters.n_parallel = wanted["slots"]
    parameters.n_ctx = wanted["slots"] * wanted["context_window"]
    parameters.hostnames = ["127.0.0.1"]
    parameters.port = 0
    parameters.cache_ram_mib = 0  # by default up to 8 GB of old prompts are kept
    parameters.model_alias = {wanted["name"]}
    parameters.verbosity = _SILENT
    parameters.cpuparams.n_threads = wanted["threads"]
    parameters.cpuparams_batch.n_threads = wanted["threads"]
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
    main()
