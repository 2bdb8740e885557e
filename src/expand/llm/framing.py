"""Finding the JSON in what a server sends, whatever stands around it.

A success should be one JSON object or a stream of server-sent events, labelled as what it is. Servers also send JSON
after a byte order mark, blanks, keep-alive comments or ``data:``, several objects in a row or one a line, JSON before
events, events without the blank line between them, and all of that under any content type. ``JsonReader`` reads them
all, by what arrives and not by its label. Pure: it takes bytes, and raises nothing.
"""

import codecs
import json
import re
from collections.abc import Iterator

MOST_TRIES = 50
"""How often to look for JSON in a text that is none: each look may take time in proportion to the text."""

_LINE_END = re.compile(r"\r\n|\n|\r")
_FIELD = re.compile(r"\s*(data|event|id|retry)(?::[ ]?|\s*$)")
_JSON_BEGINS = re.compile(r"[{\[]")
_LINE_OF_JSON = re.compile(r"^[{\[]", re.MULTILINE)
_DECODER = json.JSONDecoder()
_NOTHING = object()


class JsonReader:
    """Reads the JSON values in bytes that arrive in pieces cut anywhere.

    ``done`` says that ``[DONE]`` has come, ``events`` that there were events. ``junk`` is the beginning of what is no
    JSON, ``broken`` the JSON that had begun when the bytes ended: both "" where there is none."""

    def __init__(self) -> None:
        self.done = self.events = False
        self.junk = ""
        self.broken = ""
        # A character may be cut between two pieces. Bytes that are no UTF-8 cost that character, not the text.
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")(errors="replace")
        self._pieces: list[str] = []
        """The line that has begun."""
        self._value: list[str] = []
        """The lines of a value that goes over several, or of what is no JSON."""
        self._in_event = False
        """Whether those are data of an event, which ends at a blank line."""
        self._event = ""

    def feed(self, data: bytes) -> Iterator[object]:
        """Take the next bytes; the values that they complete."""
        yield from self._read(self._decoder.decode(data))

    def end(self) -> Iterator[object]:
        """Take it that nothing more comes; the values that were left."""
        yield from self._read(self._decoder.decode(b"", final=True))
        if rest := "".join(self._pieces):
            self._pieces = []
            yield from self._line(rest)
        yield from self._flush()

    def _read(self, text: str) -> Iterator[object]:
        if "\n" not in text and "\r" not in text:  # a long line in small pieces is joined once, not at every piece
            if text:
                self._pieces.append(text)
            return
        text = "".join([*self._pieces, text])
        start = 0
        for end in _LINE_END.finditer(text):
            if end[0] == "\r" and end.end() == len(text):
                break  # its line feed may be in the next piece
            yield from self._line(text[start : end.start()])
            start = end.end()
        self._pieces = [text[start:]] if start < len(text) else []

    def _line(self, line: str) -> Iterator[object]:
        field = _FIELD.match(line)
        if field is not None:
            if not self._in_event:
                yield from self._flush()
            self._in_event = self.events = True
            rest = line[field.end() :]
            if field[1] == "event":
                self._event = rest.strip()
            elif field[1] == "data":
                yield from self._data(rest)
        elif line.strip():
            if not line.startswith(":"):
                yield from self._data(line)
        elif self._in_event:
            yield from self._flush()
            self._in_event, self._event = False, ""

    def _data(self, text: str) -> Iterator[object]:
        if text.strip().startswith("[DONE]"):
            yield from self._flush()
            self.done = True
            return
        if not self._value:  # mostly a value is one line
            value = _value(text)
            if value is not _NOTHING:
                yield self._labelled(value)
                return
        self._value.append(text)

    def _flush(self) -> Iterator[object]:
        """The values in the lines that were kept. What is none of it is junk, or a value that broke off."""
        text, self._value = "\n".join(self._value), []
        start = _JSON_BEGINS.search(text)
        if text[: start.start() if start is not None else None].strip():
            self.junk = self.junk or text[:2000]
        if start is None and text and self._event == "error":
            yield {"error": text.strip()}
        tries = 0
        while start is not None and tries < MOST_TRIES:
            try:
                value, end = _DECODER.raw_decode(text, start.start())
            except (ValueError, RecursionError):
                self.junk = self.junk or text[:2000]
                self.broken = text[start.start() :]
                tries += 1
                # Not what is inside of it: an object of a completion is no completion.
                start = _LINE_OF_JSON.search(text, start.end())
            else:
                self.broken = ""
                yield self._labelled(value)
                start = _JSON_BEGINS.search(text, end)

    def _labelled(self, value: object) -> object:
        """A value of an event; one that is labelled an error is one, whatever it holds."""
        if self._event == "error" and not (isinstance(value, dict) and value.get("error")):
            return {"error": value}
        return value


def _value(text: str) -> object:
    """The JSON value that a line is; ``_NOTHING`` where it is none."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return _NOTHING


_TEXT_BEGUN = re.compile(r'"content"\s*:\s*"((?:[^"\\]|\\.)*)(\\?)')


def text_begun(broken: str) -> str:
    """The text in a chat completion that breaks off in its middle; "" where there is none."""
    found = _TEXT_BEGUN.search(broken) if '"choices"' in broken else None
    text = found[1] if found else ""
    for cut in range(min(len(text), 12) + 1):  # an escape may be cut, too: the longest is a pair of \uXXXX
        value = _value(f'"{text[: len(text) - cut]}"')
        if isinstance(value, str) and not ("\ud800" <= value[-1:] <= "\udbff"):
            return value
    return ""
