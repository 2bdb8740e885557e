"""The scripted server by itself, ``python tests/scripted_server.py --port 8099 --behaviour preamble``,
and under the name that the tests know it by. It lives in ``expand.testing``; ``WireServer`` has habits on the wire that
concern nobody but the client.
"""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, replace

from expand.testing.scripted_author import Behaviour
from expand.testing.server import HANG_UP, Received, Reply, ScriptedServer, json_reply, main

__all__ = ["Behaviour", "Received", "ScriptedServer", "WireServer", "main"]

UPSTREAM_FAILED = {"error": {"message": "upstream failed", "code": 502}}
NO_COMPLETION = {
    "not_json": b"upstream said: OK",
    "html": b"<html><body>Please sign in</body></html>",
    "error_in_success": json.dumps(UPSTREAM_FAILED).encode(),
}
REFUSED = {
    "refuses_stream": "Unsupported value: 'stream' does not support true",
    "refuses_stream_options": "Unknown parameter: 'stream_options'",
    "streams_only": "This model can only be streamed: set 'stream' to true",
}


@dataclass
class WireServer(ScriptedServer):
    """``habit`` is a key of ``NO_COMPLETION`` or ``REFUSED``, ``ignores_stream``, or one of these, which leave half of
    the text: ``broken_stream``, ``broken_stream_with_usage``, ``stalled_stream``, ``unfinished_stream``,
    ``error_in_stream``. It is the habit for the requests of these numbers, None for all."""

    habit: str = ""
    at: tuple[int, ...] | None = None

    def reply(self, received: Received) -> Reply:
        habit = self.habit if self.at is None or received.number in self.at else ""
        touched = {
            "refuses_stream": received.streamed,
            "refuses_stream_options": "stream_options" in received.body,
            "streams_only": not received.streamed,
        }
        if touched.get(habit):
            return json_reply({"error": {"message": REFUSED[habit], "code": "unsupported_value"}}, 400)
        if habit in NO_COMPLETION:
            self.bill(received, self.write(received)[0])
            return Reply(
                [NO_COMPLETION[habit]], headers={"Content-Type": "text/html" if habit == "html" else "application/json"}
            )
        if habit == "ignores_stream":
            return super().reply(replace(received, body={**received.body, "stream": False}))
        if not habit.endswith(("stream", "usage")) or habit == "refuses_stream":
            return super().reply(received)
        received.behaviour = "broken_stream"
        half = super().reply(received)
        usage = {"prompt_tokens": received.billed_tokens - 1, "completion_tokens": 1}
        chunk = {"model": received.request.model, "choices": [], "usage": usage}
        end: dict[str, list[bytes | float | None]] = {
            "broken_stream": [HANG_UP],
            "broken_stream_with_usage": [f"data: {json.dumps(chunk)}\n\n".encode(), HANG_UP],
            "stalled_stream": [threading.TIMEOUT_MAX, HANG_UP],
            "unfinished_stream": [],
            "error_in_stream": [f"data: {json.dumps(UPSTREAM_FAILED)}\n\n".encode()],
        }
        return half._replace(parts=[*half.parts[:-1], *end[habit]])


if __name__ == "__main__":
    main()
