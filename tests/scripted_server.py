"""The scripted server by itself, ``python tests/scripted_server.py --port 8099 --behaviour preamble``,
and under the name that the tests know it by. It lives in ``expand.testing``.
"""

from __future__ import annotations

from expand.testing.scripted_author import Behaviour
from expand.testing.server import Received, ScriptedServer, main

__all__ = ["Behaviour", "Received", "ScriptedServer", "main"]

if __name__ == "__main__":
    main()
