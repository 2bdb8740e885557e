"""For tests of one's own outlines, prompts and house rules: an author and a server that write to
order, and fixtures for pytest, without network or key.

The fixtures (``expand_workspace``, ``scripted_author``, ``expand_draft``, ``scripted_server``,
``expand_run``, ``expand_no_network``) are there wherever pytest finds the package; see ``plugin``.
Nothing else here needs pytest.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from expand.testing.assertions import DraftTrial as DraftTrial
    from expand.testing.behaviours import Behaviour as Behaviour
    from expand.testing.command_line import CommandRun as CommandRun
    from expand.testing.network import NetworkForbiddenError as NetworkForbiddenError
    from expand.testing.network import this_machine_only as this_machine_only
    from expand.testing.plugin import ExpandDraft as ExpandDraft
    from expand.testing.plugin import ExpandRun as ExpandRun
    from expand.testing.scripted_author import ScriptedAuthor as ScriptedAuthor
    from expand.testing.scripted_author import SentRequest as SentRequest
    from expand.testing.server import Received as Received
    from expand.testing.server import ScriptedServer as ScriptedServer

_ROOMS = {
    "scripted_author": "ScriptedAuthor SentRequest",
    "command_line": "CommandRun",
    "behaviours": "Behaviour",
    "network": "NetworkForbiddenError this_machine_only",
    "plugin": "ExpandDraft ExpandRun",
    "server": "Received ScriptedServer",
    "assertions": "DraftTrial",
}
_ROOM_OF = {name: room for room, names in _ROOMS.items() for name in names.split()}

__all__ = list(_ROOM_OF)


def __getattr__(name: str) -> object:
    room = _ROOM_OF.get(name)
    if room is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(import_module(f"{__name__}.{room}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
