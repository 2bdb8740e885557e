"""Reading outlines and the book from YAML, with every problem of a file in one go; the rules that no pattern can state.

What is raised is ``InputErrors`` (exit code 2) and nothing else, whatever the file holds; each error names
``file:line:column``, what is wrong and how to mend it. What is odd but can be worked with is a warning of ``lint``.

The schemas are ``outline.json``, ``brief.json``, ``memory.json`` and ``book.json`` in ``data/schemas``; editors get
them too, so that both give the same verdict.
"""

import re
import unicodedata
from collections.abc import Callable, Collection, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

from expand.errors import InputError
from expand.outline import (
    CHARACTERS_A_LINE,
    WORDS_A_LINE,
    Allowance,
    Book,
    BookChapter,
    Opening,
    Outline,
    Quality,
    Reference,
    Section,
    Style,
    Text,
    Tier,
)
from expand.paths import RESERVED, require_inside, reserved_part
from expand.schema.input_file import DataPath, quoted, read_yaml
from expand.schema.validators import Validator, suggestion

Value = TypeVar("Value")

_INSIDE = "give a path inside it, such as chapters/03_name.md"
MAX_ID_BYTES = 100
"""Of a chapter's id in UTF-8. With a language, an ending and the mark of an unfinished file, file systems take 255."""


def id_mistake(chapter: str) -> tuple[str, str] | None:
    """Why the text is no chapter's id, and the remedy; None if it is one.

    The schema's pattern says the same but for letters that are not ASCII: patterns that all editors read have no
    classes of characters."""
    remedy = "give letters and digits, and . _ - between them, such as 03"
    for character in chapter:
        if character not in "._-" and unicodedata.category(character)[0] not in "LMN":
            return f"holds {quoted(character) if character.strip() else 'a space'}", remedy
    if chapter[0] in ".-":
        return f"begins with {quoted(chapter[0])}", remedy
    if (size := len(chapter.encode(errors="replace"))) > MAX_ID_BYTES:
        return f"has {size} bytes as a file's name", f"give at most {MAX_ID_BYTES}; a Chinese character has 3"
    return ("is taken by book.yaml", "choose another") if chapter.casefold() == "book" else None


def source_mistake(source: str) -> tuple[str, str] | None:
    """Why the text is no path inside a workspace, and the remedy; None if it is one."""
    if re.match(r"[/\\~]|[A-Za-z]:", source) or ".." in re.split(r"[/\\]", source):
        return f"{quoted(source)} leaves the workspace", _INSIDE
    if "\\" in source:
        return f"{quoted(source)} has backslashes", "write / between folders, on every system"
    if reserved_part(source.split("/")):
        return f"{quoted(source)} is {RESERVED}", "name the chapter's document, such as chapters/03_name.md"
    fits = re.search(OUTLINE.schema["properties"]["source"]["pattern"], source)
    return None if fits else (f"{quoted(source)} is no path", _INSIDE)


def is_language(code: str) -> bool:
    """Whether this is a language code."""
    return re.fullmatch(BOOK.schema["properties"]["language"]["pattern"], code) is not None


_FORMATS = {"id": id_mistake, "source": source_mistake}
OUTLINE = Validator("outline", _FORMATS)
BOOK = Validator("book", _FORMATS)
BRIEF = Validator("brief", _FORMATS)
MEMORY = Validator("memory", _FORMATS)


LENGTHS = ("words", "characters", "字数")
"""The keys of lengths that are not in lines; the last two mean the same."""


def read_outline(path: Path, *, root: Path, chapter_id: str) -> Outline:
    """The outline of the chapter, from the file at ``path`` in the workspace at ``root``."""
    file = _File(path, root, OUTLINE)
    file.check_id(path, chapter_id)
    file.check_source(file.data, ())
    file.check_terms()
    file.check_lengths()
    if "voice" in file.data:
        file.check_voice(_File(root / "outlines" / "book.yaml", root, BOOK))
    return _outline(file.right_data())


def read_book(path: Path, *, root: Path) -> Book:
    """The book, from the file at ``path`` in the workspace at ``root``."""
    file = _File(path, root, BOOK)
    for number, chapter in file.items("chapters"):
        file.check_source(chapter, ("chapters", number))
    file.check_terms()
    file.check_names()
    file.check_voice(file)
    return _book(file.right_data())


class _File:
    """What is right of a file's ``data``, and the checks that a schema cannot say."""

    def __init__(self, path: Path, root: Path, validator: Validator) -> None:
        self._root = root
        self._file = read_yaml(path, root)
        self.data = validator.check(self._file)

    def items(self, key: str) -> list[tuple[int, dict[str, Any]]]:
        """The items of a list that are right, with their places in it."""
        return [(number, item) for number, item in enumerate(self.data.get(key, ())) if item is not None]

    def right_data(self) -> dict[str, Any]:
        """All of the data, with the places of what may yet turn out not to exist. Raises ``InputErrors``."""
        self._file.raise_if_any()
        sections = [(("sections", number), section) for number, section in self.items("sections")]
        for path, data in (((), self.data), *sections):
            said = enumerate(data.get("references", ()))
            places = ((one, self._file.value((*path, "references", number))) for number, one in said)
            data["references"] = tuple(Reference(said=one.strip(), place=place) for one, place in places)
        if "style" in self.data:
            self.data["style"] = Style(name=self.data["style"], place=self._file.value(("style",)))
        return self.data

    def check_id(self, path: Path, chapter_id: str) -> None:
        found = self.data.get("id")
        if found is not None and found != unicodedata.normalize("NFC", chapter_id):
            what = f"id is {quoted(found)}, but the file is called {path.name}"
            self._file.note(("id",), what, f'write "{chapter_id}", or rename the file')

    def check_source(self, chapter: Mapping[str, Any], path: DataPath) -> None:
        """Refuse a source that leads out of the workspace through a link, or is a folder."""
        for language, source in _sources(chapter).items():
            at = (*path, "source", language) if language else (*path, "source")
            try:
                folder = require_inside(self._root / source, self._root).is_dir()
            except InputError as error:
                self._file.note(at, f"source {quoted(source)}: {error.what}", error.remedy)
                continue
            if folder:
                self._file.note(at, f"source {quoted(source)} is a folder", "name a file in it")

    def check_terms(self) -> None:
        """Refuse terms that differ in the spaces around them only."""
        terms: set[str] = set()
        for term in self.data.get("glossary", {}):
            if term.strip() in terms:
                what = f"glossary: the term {quoted(term.strip())} appears twice"
                self._file.add(self._file.key(("glossary", term)), what, "remove one")
            terms.add(term.strip())

    def check_lengths(self) -> None:
        """Refuse topics that are a length alone, and sections without a length, where the chapter has none in words or
        characters that they could share."""
        for number, section in self.items("sections"):
            for topic, said in enumerate(section.get("topics", ())):
                if isinstance(said, dict) and not said.keys() - {"lines", *LENGTHS}:
                    what = f"section {number + 1}: topic {topic + 1} has no title"
                    remedy = "add title, or a text for each language"
                    self._file.note(("sections", number, "topics", topic), what, remedy)
        known = self._file.keys  # also of a length that is wrong, and is said to be
        if any((key,) in known for key in LENGTHS):
            return
        for number, _ in self.items("sections"):
            if not any(("sections", number, key) in known for key in ("lines", *LENGTHS)):
                what = f'section {number + 1}: the key "lines" is missing'
                self._file.note(("sections", number), what, "add lines: 150, or words or characters")

    def check_voice(self, book: "_File") -> None:
        """Refuse chapters that have no document: no outline names one, nor does the book."""
        known = {chapter["id"] for _, chapter in book.items("chapters") if "source" in chapter and "id" in chapter}
        known.update(path.stem for path in (self._root / "outlines").glob("*.yaml") if path.name != "book.yaml")
        for place, name in enumerate(self.data.get("voice", ())):
            what = f"voice names chapter {quoted(name or '')}, which has neither outline nor source"
            self._check_name(name, known, ("voice", place), what, "name a finished chapter")

    def check_names(self) -> None:
        """Refuse languages, tiers and chapters that the book does not have."""
        language, languages = self.data.get("language"), self.data.get("languages") or [self.data.get("language")]
        what = f"language {quoted(language or '')} is not among languages"
        self._check_name(language, languages, ("language",), what, "")
        tiers = {tier["id"] for _, tier in self.items("tiers") if "id" in tier}
        chapters = {chapter["id"] for _, chapter in self.items("chapters") if "id" in chapter}
        named: list[tuple[str, str | None, DataPath]] = [
            ("tier", chapter.get("tier"), ("chapters", number, "tier")) for number, chapter in self.items("chapters")
        ]
        for number, opening in self.items("opening"):
            places = enumerate(opening.get("chapters", ()))
            named += [("chapter", name, ("opening", number, "chapters", place)) for place, name in places]
        for noun, name, path in named:
            what = f"the book has no {noun} {quoted(name or '')}"
            self._check_name(name, tiers if noun == "tier" else chapters, path, what, f"add the {noun}")

    def _check_name(
        self, name: str | None, known: Collection[str], path: DataPath, what: str, first_remedy: str
    ) -> None:
        """Refuse a name that is not known; ``first_remedy`` is for where none is."""
        if name is not None and name not in known:
            remedy = suggestion(name, sorted(filter(None, known))) if known else first_remedy
            self._file.add(self._file.value(path), what, remedy)


# Values from data that is right: nothing below checks anything.


def _stated(data: Mapping[str, Any]) -> tuple[int, int]:
    """The words and the characters that a chapter or a section states; 0 for none."""
    return int(data.get("words") or 0), int(data.get("characters") or data.get("字数") or 0)


def _topic_lines(section: Mapping[str, Any], lines: int) -> tuple[int, ...]:
    """The lines of each topic of a section of so many; those that state none share what the others leave."""
    topics = [topic if isinstance(topic, dict) else {} for topic in section.get("topics", ())]
    stated = [int(topic.get("lines") or _come_to(*_stated(topic)) or 0) for topic in topics]
    if not any(stated):
        return ()
    rest = max(1, (lines - sum(stated)) // max(1, stated.count(0)))
    return tuple(own or rest for own in stated)


def _come_to(words: int, characters: int) -> int | None:
    """The lines that words or characters come to, None without either."""
    return max(1, round(words / WORDS_A_LINE or characters / CHARACTERS_A_LINE)) if words or characters else None


def _sections(data: Mapping[str, Any]) -> tuple[Section, ...]:
    """The sections, with what the chapter states in words or characters shared among those that state neither: by
    their lines, else by their topics."""
    stated = [_stated(section) for section in data["sections"]]
    left = [max(0, whole - sum(column)) for whole, column in zip(_stated(data), zip(*stated, strict=True), strict=True)]
    open_ones = [section for section, own in zip(data["sections"], stated, strict=True) if not any(own)]
    in_lines = all("lines" in section for section in open_ones)
    weights = [int(section["lines"]) if in_lines else 1 + len(section.get("topics", ())) for section in open_ones]
    shares = ([round(count * weight / sum(weights)) for count in left] for weight in weights)
    return tuple(
        _section(number, section, *(own if any(own) else next(shares)))
        for number, (section, own) in enumerate(zip(data["sections"], stated, strict=True), 1)
    )


def _outline(data: Mapping[str, Any]) -> Outline:
    words, characters = _stated(data)
    return _made(
        Outline,
        data,
        source=next(iter(_sources(data).values())),
        sources=_by_language(data),
        sections=_sections(data),
        stated_lines=int(data["target_lines"]) if "target_lines" in data else None,
        stated_words=words,
        stated_characters=characters,
    )


def _section(number: int, data: Mapping[str, Any], words: int, characters: int) -> Section:
    lines = int(data["lines"]) if "lines" in data else _come_to(words, characters) or 1
    return _made(
        Section,
        data,
        number=number,
        lines=lines,
        words=words,
        characters=characters,
        topic_lines=_topic_lines(data, lines),
    )


def _book(data: Mapping[str, Any]) -> Book:
    languages = tuple(data.get("languages", ()))
    language = data.get("language") or (languages[0] if languages else "en")
    return _made(
        Book,
        {"allowance": {}, **data},
        language=language,
        languages=languages or (language,),
        openings=tuple(_made(Opening, opening) for opening in data.get("opening", ())),
        chapters=tuple(_chapter(chapter, language) for chapter in data.get("chapters", ())),
    )


def _sources(data: Mapping[str, Any]) -> dict[str, str]:
    """A chapter's documents by language, one for all of them under ""."""
    source = data.get("source")
    return {} if source is None else {"": source} if isinstance(source, str) else source


def _by_language(data: Mapping[str, Any]) -> dict[str, str]:
    return {language: source for language, source in _sources(data).items() if language}


def _chapter(data: Mapping[str, Any], language: str) -> BookChapter:
    own = _by_language(data)
    source = own.get(language) or next(iter(_sources(data).values()), None)
    target = data.get("target_lines") or _come_to(*_stated(data))
    return _made(BookChapter, {**data, "target_lines": target}, source=source, sources=own)


def _text(value: Any) -> Text:
    if isinstance(value, str):
        return Text(plain=value.strip())
    if "title" in value:
        return Text(plain=value["title"].strip())
    return Text(by_language={code: wording.strip() for code, wording in value.items() if isinstance(wording, str)})


def _made(kind: Callable[..., Value], data: Mapping[str, Any], **more: Any) -> Value:
    """A value of a kind: what the file states under the names of its fields, and ``more``."""
    fields: tuple[str, ...] = getattr(kind, "_fields", ())
    stated = {key: data[key] for key in fields if key not in more and data.get(key) is not None}
    return kind(**{key: _READ[key](value) if key in _READ else value for key, value in stated.items()}, **more)


_READ: Mapping[str, Callable[[Any], Any]] = {
    **dict.fromkeys(("title", "audience", "note"), _text),
    **dict.fromkeys(("topics", "must_cite", "house_rules"), lambda values: tuple(map(_text, values))),
    # Whole lines and tokens may be written 1e3 or 50.0.
    **dict.fromkeys(("lines", "lines_before", "target_lines", "code_examples", "tokens"), int),
    **dict.fromkeys(("ignore", "voice", "chapters"), tuple),
    **dict.fromkeys(("usd",), Decimal),
    **dict.fromkeys(("heading", "code_language"), str.strip),
    "hours": float,
    "glossary": lambda terms: {term.strip(): _text(meaning) for term, meaning in terms.items()},
    "quality": lambda data: _made(Quality, data),
    "allowance": lambda data: _made(Allowance, data),
    "tiers": lambda tiers: tuple(_made(Tier, data) for data in tiers),
}
"""How the values of the keys are read that are no plain texts; a key means the same in all files."""
