"""Tests your own outlines, prompts and house rules without network or key: a scripted author, and a chapter drafted on
trial. The fixtures for pytest are in ``expand.pytest_plugin``."""

from expand.testing.runs import DraftTrial, ExpandDraft, copy_workspace, drafted
from expand.testing.scripted_author import Behaviour, ScriptedAuthor, SentRequest

__all__ = ["Behaviour", "DraftTrial", "ExpandDraft", "ScriptedAuthor", "SentRequest", "copy_workspace", "drafted"]
