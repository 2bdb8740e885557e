"""Tests your own outlines, prompts and house rules without network or key: a scripted author, a scripted server, and
fixtures for pytest (see ``plugin``). Nothing but the fixtures needs pytest.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from expand.testing.behaviours import Behaviour as Behaviour
    from expand.testing.network import NetworkForbiddenError as NetworkForbiddenError
    from expand.testing.network import this_machine_only as this_machine_only
    from expand.testing.plugin import ExpandDraft as ExpandDraft
    from expand.testing.plugin import ExpandRun as ExpandRun
    from expand.testing.runs import CommandRun as CommandRun
    from expand.testing.runs import DraftTrial as DraftTrial
    from expand.testing.runs import copy_workspace as copy_workspace
    from expand.testing.runs import drafted as drafted
    from expand.testing.runs import run_command as run_command
    from expand.testing.scripted_author import ScriptedAuthor as ScriptedAuthor
    from expand.testing.scripted_author import SentRequest as SentRequest
    from expand.testing.server import Received as Received
    from expand.testing.server import ScriptedServer as ScriptedServer

_NAMES = {
    "behaviours": "Behaviour",
    "network": "NetworkForbiddenError this_machine_only",
    "plugin": "ExpandDraft ExpandRun",
    "runs": "CommandRun DraftTrial copy_workspace drafted run_command",
    "scripted_author": "ScriptedAuthor SentRequest",
    "server": "Received ScriptedServer",
}
_MODULE_OF = {name: module for module, names in _NAMES.items() for name in names.split()}

__all__ = list(_MODULE_OF)


def __getattr__(name: str) -> object:
    module = _MODULE_OF.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(import_module(f"{__name__}.{module}"), name)
    globals()[name] = value
    return value
