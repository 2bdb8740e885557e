"""Tests your own outlines, prompts and house rules without network or key: a scripted author, a scripted server, and
fixtures for pytest (see ``plugin``). Nothing but the fixtures needs pytest.
"""

from importlib import import_module

_NAMES = {
    "plugin": "ExpandDraft ExpandRun",
    "runs": "CommandRun DraftTrial copy_workspace drafted run_command",
    "scripted_author": "Behaviour ScriptedAuthor SentRequest",
    "server": "Received Reply ScriptedServer",
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
