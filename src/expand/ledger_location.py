"""Where a ledger is kept: in a file, or in a schema of a PostgreSQL database.

One schema holds one book. Processes on any number of machines that name the same database and the same schema share one
ledger, and so one budget.
"""

import re
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from expand.errors import InputError, Place

DEFAULT_SCHEMA = "expand"
SCHEMES = ("postgresql", "postgres")
_SCHEMA = re.compile(r"(?!pg_)[a-z_][a-z0-9_]{0,62}")
_SECRET = ("password", "sslpassword")
_FORM = "postgresql://USER@HOST:PORT/DATABASE?schema=BOOK"


@dataclass(frozen=True, kw_only=True, slots=True)
class Server:
    """A schema of a PostgreSQL database. ``address`` is what libpq is given and may hold a password; ``str`` is the
    same without, for messages."""

    address: str = field(repr=False)
    schema: str = DEFAULT_SCHEMA

    def __str__(self) -> str:
        parts = urlsplit(self.address)
        user, _, host = parts.netloc.rpartition("@")
        name = f"{user.partition(':')[0]}@" if user else ""
        query = [pair for pair in parse_qsl(parts.query) if pair[0] not in _SECRET]
        query.append(("schema", self.schema))
        return f"postgresql://{name}{host}{parts.path}?{urlencode(query, safe='/', quote_via=quote)}"


LedgerPlace = Path | Server


def is_server(text: str) -> bool:
    """Whether a setting names a PostgreSQL database, and not a file."""
    return text.partition("://")[0].lower() in SCHEMES and "://" in text


def read_server(text: str, *, place: Place | None = None) -> Server:
    """The server that a URL names; ``schema`` in its query is the book's. Raises ``InputError``, whose message holds no
    password; ``place`` is where the URL stands."""
    try:
        parts = urlsplit(text)
        _ = parts.port
        if parts.fragment or "@" in parts.path or ("@" in parts.query and "@" not in parts.netloc):
            raise ValueError("a password that ends the host's part of the address")
    except ValueError:
        raise InputError(
            "the ledger's address cannot be read",
            remedy=f"write it as {_FORM}, with %23, %2F, %3F or %40 for a #, /, ? or @ in a name",
            place=place,
        ) from None
    query = parse_qsl(parts.query, keep_blank_values=True)
    schemas = [value for name, value in query if name == "schema"] or [DEFAULT_SCHEMA]
    if len(schemas) > 1 or not _SCHEMA.fullmatch(schemas[0]):
        raise InputError(
            f"the ledger's schema is {', '.join(map(repr, schemas))}",
            remedy="give one name of small letters, digits and _, such as schema=my_book",
            place=place,
        )
    rest = urlencode([pair for pair in query if pair[0] != "schema"], quote_via=quote)
    address = parts._replace(scheme="postgresql", query=rest, fragment="").geturl()
    return Server(address=address, schema=schemas[0])
