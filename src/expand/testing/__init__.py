"""Tests your own outlines, prompts and house rules without network or key: a scripted author, and fixtures for pytest
(see ``plugin``). Nothing but the fixtures needs pytest.
"""

from importlib import import_module

_NAMES = {
    "plugin": "ExpandDraft",
    "runs": "DraftTrial copy_workspace drafted",
    "scripted_author": "Behaviour ScriptedAuthor SentRequest",
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
