"""Whether the queue can be used here: which database it is in, and whether its libraries are installed.

This module loads none of them, so that a message can name what is missing.
"""

from importlib.util import find_spec

from expand.errors import InputError, Place
from expand.ledger_location import Server
from expand.workspace import Workspace


def server_of(workspace: Workspace) -> Server:
    """The database that the queue is in. Raises ``InputError`` where the ledger is a file, and where what the queue
    is made of is not installed.
    """
    location = workspace.ledger_place
    if not isinstance(location, Server):
        inside = location.is_relative_to(workspace.root)
        raise InputError(
            "the queue needs a PostgreSQL ledger, and this one is the file "
            f"{workspace.relative(location) if inside else location}",
            remedy='set `ledger = "postgresql://USER@HOST/DATABASE?schema=BOOK"` at its top, or EXPAND_LEDGER',
            place=Place(path=workspace.settings_path),
        )
    if find_spec("procrastinate") is None or find_spec("psycopg_pool") is None:
        raise InputError(
            "the queue needs procrastinate, which is not installed", remedy="run `pip install 'chapter-expand[queue]'`"
        )
    return location
