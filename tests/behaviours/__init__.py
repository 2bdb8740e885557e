"""What providers do, good and bad: a table of behaviours, and a server on 127.0.0.1 that shows the one its model names.

Each module here lists behaviours of one kind. ``tests/test_behaviours.py`` runs every one through the command line;
``python tests/behaviour_table.py`` prints what was bought, drafted, found and said for each.
"""

from __future__ import annotations

from behaviours.server import Behaviour, BehaviourServer, Call, Reply

__all__ = ["Behaviour", "BehaviourServer", "Call", "Reply"]
