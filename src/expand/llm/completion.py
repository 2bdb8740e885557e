"""Reading a chat completion: whole, or as the chunks of a stream, in the shapes that servers send.

Pure: nothing is sent, and no SDK is needed. A provider's word is not trusted: whatever is not a chat completion is
``GARBLED``. Text that arrived is never dropped, whatever comes before or after it.

A success should be one JSON object or a stream of server-sent events, labelled as what it is. Servers also send JSON
after a byte order mark, blanks, keep-alive comments or ``data:``, several objects in a row or one a line, JSON before
events, events without the blank line between them, and all of that under any content type. ``JsonReader`` reads them
all, by what arrives and not by its label.
"""

import codecs
import io
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace

from expand.llm.failures import garbled, one_line, refused_within, said_in
from expand.llm.types import Answer, AttemptFailedError, Failure, Finish, OnText, Usage, ignore_text
from expand.markdown.repetition import LoopDetector
from expand.paths import packaged_table

_WORDS = packaged_table("answers")
_FINISHES: Mapping[str, Finish] = {word: Finish(name) for name, words in _WORDS["finish"].items() for word in words}
_USAGE: Mapping[str, Sequence[str]] = _WORDS["usage"]
_FINISH_NAMES = ("finish_reason", "finishReason", "done_reason", "stop_reason")
_THINKING = frozenset({"thinking", "reasoning", "reasoning_text", "redacted_thinking", "thought"})
"""Parts of a content that are no text of the answer."""
_DEEPEST_PART = 8

MOST_TRIES = 50
"""How often to look for JSON in a text that is none: each look may take time in proportion to the text."""

_FIELD = re.compile(r"\s*(data|event|id|retry)(?::[ ]?|\s*$)")
_JSON_BEGINS = re.compile(r"[{\[]")
_LINE_OF_JSON = re.compile(r"^[{\[]", re.MULTILINE)
_DECODER = json.JSONDecoder()

ADDED_TOKENS = 20_000
"""What a provider may add to a request of its own accord, and still be believed."""


class JsonReader:
    """Reads the JSON values in bytes that arrive in pieces cut anywhere.

    ``done`` says that ``[DONE]`` has come, ``events`` that there were events. ``junk`` is the beginning of what is no
    JSON, ``broken`` the JSON that had begun when the bytes ended: both "" where there is none."""

    def __init__(self) -> None:
        self.done = self.events = False
        self.junk = self.broken = ""
        # A character may be cut between two pieces, or the end of a line. Bytes that are no UTF-8 cost that character,
        # not the text.
        decoder = codecs.getincrementaldecoder("utf-8-sig")(errors="replace")
        self._decoder = io.IncrementalNewlineDecoder(decoder, translate=True)
        self._pieces: list[str] = []
        """The line that has begun."""
        self._value: list[str] = []
        """The lines of a value that goes over several, or of what is no JSON."""
        self._event = ""

    def feed(self, data: bytes, *, final: bool = False) -> Iterator[object]:
        """Take the next bytes, with ``final`` the last ones; the values that they complete."""
        *lines, rest = self._decoder.decode(data, final=final).split("\n")
        if lines:  # a long line in small pieces is joined once, not at every piece
            lines[0], self._pieces = "".join([*self._pieces, lines[0]]), []
        self._pieces.append(rest)
        for line in lines:
            yield from self._line(line)
        if final:
            yield from self._line("".join(self._pieces))
            yield from self._flush()

    def _line(self, line: str) -> Iterator[object]:
        field = _FIELD.match(line)
        if field is not None:
            self.events = True
            if field[1] == "event":
                self._event = line[field.end() :].strip()
            elif field[1] == "data":
                yield from self._data(line[field.end() :])
        elif not line.strip():
            if self.events:  # it ends an event
                yield from self._flush()
                self._event = ""
        elif not line.startswith(":"):
            yield from self._data(line)

    def _data(self, text: str) -> Iterator[object]:
        if text.strip().startswith("[DONE]"):
            yield from self._flush()
            self.done = True
            return
        with suppress(ValueError, RecursionError):
            if not self._value:  # mostly a value is one line
                yield self._labelled(json.loads(text))
                return
        self._value.append(text)

    def _flush(self) -> Iterator[object]:
        """The values in the lines that were kept. What is none of it is junk, or a value that broke off."""
        text, self._value = "\n".join(self._value), []
        start = _JSON_BEGINS.search(text)
        if text[: start.start() if start else None].strip():
            self.junk = self.junk or text[:2000]
        if text and not start and self._event == "error":
            yield {"error": text.strip()}
        tries = 0
        while start and tries < MOST_TRIES:
            try:
                value, end = _DECODER.raw_decode(text, start.start())
            except (ValueError, RecursionError):
                self.junk, self.broken = self.junk or text[:2000], text[start.start() :]
                tries += 1
                # Not what is inside of it: an object of a completion is no completion.
                start = _LINE_OF_JSON.search(text, start.end())
            else:
                self.broken = ""
                yield self._labelled(value)
                start = _JSON_BEGINS.search(text, end)

    def _labelled(self, value: object) -> object:
        """A value of an event; one that is labelled an error is one, whatever it holds."""
        labelled = self._event != "error" or (isinstance(value, dict) and value.get("error"))
        return value if labelled else {"error": value}


_TEXT_BEGUN = re.compile(r'"content"\s*:\s*("(?:[^"\\]|\\["\\/bfnrt]|\\u[0-9a-fA-F]{4})*)')


def text_begun(broken: str) -> str:
    """The text in a chat completion that breaks off in its middle; "" where there is none."""
    found = _TEXT_BEGUN.search(broken) if '"choices"' in broken else None
    text: str = json.loads(f'{found[1]}"', strict=False) if found else ""
    return text[:-1] if "\ud800" <= text[-1:] <= "\udbff" else text  # the first half of a character


class StreamedAnswer:
    """An answer as its bytes or its chunks arrive, or all at once. ``on_text`` gets each piece of text.

    Reasoning is no text. ``json`` reads the bytes; ``model`` and ``usage`` are what the server has said so far."""

    def __init__(self, on_text: OnText = ignore_text) -> None:
        self.json = JsonReader()
        self.model = ""
        self.usage: Usage | None = None
        self.final_usage: Usage | None = None
        """The usage of the whole answer. Some servers report what they have used so far with every chunk: less than
        they will bill once the connection is broken."""
        self.started = False
        self._on_text = on_text
        self._loops = LoopDetector()
        self._pieces: list[str] = []
        self._refusal = self._said = ""
        self._finish: Finish | None = None
        self._index: object = None
        self._seen = False
        """Whether a choice has come, or the beginning of one that broke off."""
        self._failed: Mapping[str, object] = {}
        """The first chunk with an error."""

    def feed(self, data: bytes, *, final: bool = False) -> None:
        """Read the next bytes; after the ``final`` ones the beginning of a chunk or completion, too, that broke off."""
        for value in self.json.feed(data, final=final):
            self.add(value)
        if final:
            self._seen = self._take(text_begun(self.json.broken)) or self._seen

    def add(self, chunk: object) -> None:
        """Read one chunk, a whole completion or a list of either; anything else says nothing."""
        if isinstance(chunk, list):
            for each in chunk:
                self.add(each)
            return
        if not isinstance(chunk, dict):
            return
        self.started = True
        # The completion in it: some gateways put it into an object of their own.
        inner = (chunk.get(name) for name in ("data", "result", "response", "output") if "choices" not in chunk)
        data = next((each for each in inner if isinstance(each, dict) and "choices" in each), chunk)
        if isinstance(model := data.get("model"), str) and model:
            self.model = model
        choice = self._choice(data)
        usage = usage_in(data, choice, (choice or data).get("message"))
        self.usage = usage or self.usage
        if not self._failed and _error_in(chunk):
            self._failed = chunk
        if choice is None:
            self._said = self._said or said_in(chunk)
            self.final_usage = usage or self.final_usage
            return
        self._read(choice)
        if self.complete:
            self.final_usage = self.usage

    def _choice(self, data: Mapping[str, object]) -> Mapping[str, object] | None:
        """The choice that is being written: one answer is asked for, and the first choice seen is it."""
        choices = data.get("choices")
        listed = [choices] if isinstance(choices, dict) else choices if isinstance(choices, list) else []
        found = [choice for choice in listed if isinstance(choice, dict)]
        if found and not self._seen:
            self._seen, self._index = True, found[0].get("index") or 0
        return next((choice for choice in found if (choice.get("index", self._index) or 0) == self._index), None)

    def _read(self, choice: Mapping[str, object]) -> None:
        # A last chunk may hold the whole message again.
        for name in ("delta", "text", *(() if self._pieces else ("message", "content"))):
            part = choice.get(name)
            if isinstance(part, dict) and isinstance(refusal := part.get("refusal"), str):
                self._refusal += refusal
            content = part.get("content", part.get("parts")) if isinstance(part, dict) else part
            if self._take("".join(_texts(content))):
                break
        finish = _finish_in(choice)
        # One that says more than that it has stopped is not taken back by a later chunk.
        if finish is not None and self._finish in (None, Finish.STOP, Finish.OTHER):
            self._finish = finish

    @property
    def complete(self) -> bool:
        """Whether the author has said why it stopped: a connection that breaks after that takes nothing away."""
        return self._finish is not None

    @property
    def looping(self) -> bool:
        """Whether the text repeats without end, and the author has not stopped: no more of it is worth its price."""
        return self._loops.looping and not self.complete

    def _take(self, text: str) -> bool:
        """Take a piece of text; whether there was any."""
        if text:
            self._pieces.append(text)
            self._on_text(text)
            self._loops.feed(text)
        return bool(text)

    @property
    def text(self) -> str:
        """What has come of the text."""
        return "".join(self._pieces)

    def finished(self, *, request_id: str = "", is_stream: bool = False) -> Answer:
        """The answer. ``request_id`` is the provider's own, from the headers; ``is_stream`` says that they call it one.

        Raises ``AttemptFailedError``: ``DISCONNECTED`` for a stream that ended without saying that it is complete,
        ``GARBLED`` for one that brought an error or nothing at all. Its text, too, has gone to ``on_text``."""
        text, refusal = self.text, self._refusal
        if self.looping:
            # What the server has said of its usage is not all: it may have written on until the connection closed.
            self._finish, self.usage = Finish.REPETITION, self.final_usage
        # A body that came whole ends, whether or not it says so; a stream has to say it.
        streamed = self.json.events or (is_stream and not self.started)
        ended, said = self.json.done or not (streamed or self.json.broken), self._said or one_line(self.json.junk)
        error = _error_in(self._failed)
        if not error and self._finish is Finish.CUT and not text and not refusal:
            error = "the server broke off before any text"
        if error and (not text or not self.complete):
            raise (None if text else refused_within(self._failed)) or garbled(error)
        if not self.complete and not ended and (self._seen or not said):
            raise AttemptFailedError(Failure.DISCONNECTED, "the connection was lost: the stream ended too early")
        if not self._seen:
            nothing = "no choices in it" if self.started else "an empty answer"
            raise garbled(self._said or (f"not JSON: {said}" if said else nothing))
        if not self.complete and not (text or refusal or self.usage):
            raise garbled(self._said or "a choice without a message")
        # That an answer with text took no tokens cannot be true.
        usage = None if text and self.usage and not self.usage.completion else self.usage
        finish = Finish.REFUSAL if refusal else self._finish or Finish.OTHER
        return Answer(
            text=refusal or text, finish=finish, usage=usage, model=self.model, provider_request_id=request_id
        )


def answer_from(body: bytes, *, request_id: str = "") -> Answer:
    """The answer in the body of a success that is not streamed; one that was cut where it breaks off.

    Raises ``AttemptFailedError`` with ``GARBLED`` where there is no text in it."""
    read = StreamedAnswer()
    read.feed(body, final=True)
    try:
        return read.finished(request_id=request_id)
    except AttemptFailedError:
        if not read.text.strip():
            raise
    cut = Answer(text=read.text, finish=Finish.CUT, usage=read.final_usage, model=read.model)
    return replace(cut, provider_request_id=request_id)


def believed(answer: Answer, *, prompt_bytes: int, cap: int) -> Answer:
    """The answer without a usage that cannot be true, and known to be cut where it used the cap up, for which gateways
    report ``stop``.

    A token has a byte at least, and a server adds a template and instructions of its own, but no book; one that does
    not keep to ``cap`` does not write twenty times as much."""
    usage = answer.usage
    if usage is None:
        return answer
    if usage.prompt > prompt_bytes + ADDED_TOKENS or usage.completion > 20 * cap + ADDED_TOKENS:
        return replace(answer, usage=None)
    used_up = usage.completion >= cap and answer.finish in (Finish.STOP, Finish.OTHER)
    return replace(answer, finish=Finish.LENGTH) if used_up else answer


def _error_in(chunk: Mapping[str, object]) -> str:
    """What an error says that stands in a success, or in one of its choices; "" where there is none."""
    choices = chunk.get("choices")
    for place in (chunk, *(choices if isinstance(choices, list) else ())):
        for name in ("error", "errors"):
            if isinstance(place, dict) and place.get(name) and (said := said_in({name: place[name]})):
                return said
    return ""


def _finish_in(choice: Mapping[str, object]) -> Finish | None:
    """Why the author stopped; None while it says nothing, in one of the ways to say so."""
    reason = next((choice[name] for name in _FINISH_NAMES if choice.get(name) is not None), None)
    if reason in (None, "", "null", "None"):
        return None
    word = str(reason).strip().casefold().replace("-", "_").removeprefix("finish_reason_")
    return _FINISHES.get(word, Finish.OTHER)


def _texts(content: object, depth: int = 0) -> Iterator[str]:
    """The texts in a content: a text, a part with one, or a list of these."""
    if isinstance(content, str):
        yield content
    elif isinstance(content, dict) and content.get("type") not in _THINKING and content.get("thought") is not True:
        inner = (content[name] for name in ("text", "content", "parts", "value") if content.get(name))
        content = [next(inner, None)]
    if isinstance(content, list) and depth < _DEEPEST_PART:
        for part in content:
            yield from _texts(part, depth + 1)


# --- usage: under the names that providers give it; one that is partial or cannot be true is none at all --------------


def usage_in(data: Mapping[str, object], *inner: object) -> Usage | None:
    """The usage that a completion or a chunk reports, in itself or in one of its ``inner`` objects."""
    for part in (data, data.get("x_groq"), *inner):
        if isinstance(part, dict):
            for name in _USAGE["places"]:
                if (usage := usage_from(part.get(name))) is not None:
                    return usage
    return usage_from(data) if "eval_count" in data else None  # Ollama's own


def usage_from(value: object) -> Usage | None:
    """The usage as reported, None when it is missing, partial or cannot be true.

    Where a provider's total is above prompt and completion together (reasoning counted apart), the difference belongs
    to the completion. Cached or reasoning figures that cannot be true are 0."""
    if not isinstance(value, dict):
        return None
    prompt, completion = _first(value, _USAGE["prompt"]), _first(value, _USAGE["completion"])
    if prompt is None or completion is None:
        return None
    total = _first(value, _USAGE["total"]) or 0
    if "input_tokens" in value and "prompt_tokens" not in value and total != prompt + completion:
        prompt += sum(_first(value, (name,)) or 0 for name in _USAGE["apart"])
    completion = max(completion, total - prompt)
    if prompt + completion == 0:
        return None
    detailed = {**value}
    for group in (value.get(name) for name in _USAGE["details"]):
        detailed |= group if isinstance(group, dict) else {}
    cached, reasoning = (_first(detailed, _USAGE[name]) or 0 for name in ("cached", "reasoning"))
    return Usage(
        prompt=prompt,
        completion=completion,
        cached=cached if cached <= prompt else 0,
        reasoning=reasoning if reasoning <= completion else 0,
    )


def _first(value: Mapping[str, object], names: Sequence[str]) -> int | None:
    """The first of these figures that is stated; None if none is, or it is no number of tokens."""
    return next((_tokens(value[name]) for name in names if value.get(name) is not None), None)


def _tokens(value: object) -> int | None:
    if isinstance(value, str) and len(value) < 20 and value.strip().isdecimal():
        value = int(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return value if isinstance(value, int) and type(value) is not bool and 0 <= value < 2**53 else None
