# What type checkers see of the names that are imported when they are first used. A test holds the two together.

from expand.testing.plugin import ExpandDraft as ExpandDraft
from expand.testing.runs import DraftTrial as DraftTrial
from expand.testing.runs import copy_workspace as copy_workspace
from expand.testing.runs import drafted as drafted
from expand.testing.scripted_author import Behaviour as Behaviour
from expand.testing.scripted_author import ScriptedAuthor as ScriptedAuthor
from expand.testing.scripted_author import SentRequest as SentRequest

__all__: list[str]
