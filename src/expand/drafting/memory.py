"""What a chapter takes from the book's other ones: their memory, and the voice of those that it is to sound like.

The memory is terms, types and examples of the accepted chapters, which the other chapters' requests say.
``memory/<chapter>.yaml`` holds a chapter's. ``accept`` writes it by rules, from the text and from what the chapter's
brief has settled, unless a person changed it: a line on top tells. ``memory/book.yaml`` is a person's own.
"""

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple, cast

from expand.checks.consistency import MOST_MEANING, Term, definitions
from expand.checks.finding import excerpt
from expand.drafting.brief import Brief, written_yaml
from expand.markdown import blocks, matching
from expand.markdown.matching import unnumbered
from expand.outline import Book, Outline
from expand.outline.reading import MEMORY
from expand.schema.input_file import read_yaml
from expand.workspace import Workspace, read_text, write_atomically

MOST_TYPES, MOST_EXAMPLES, MOST_STANDING = 40, 20, 12
LEAST_TOKENS = 10
"""In fewer nothing can be said of a chapter."""
LEAST_CODE_ROWS = 3
"""A shorter block is no example."""
_HEAD = "# Made by `expand accept`, which renews it until you change it ({}).\n"
_TYPE = re.compile(
    r"^\s*(?:(?:pub(?:\([^)]*\))?|export|public|abstract|final|data)\s+)*"
    r"(?:struct|enum|trait|union|class|interface|record|protocol|type)\s+([A-Z]\w*)",
    re.MULTILINE,
)
_FUNCTION = re.compile(
    r"^\s*(?:(?:pub(?:\([^)]*\))?|export|async|const|unsafe|static|public)\s+)*(?:fn|def|func|function)\s+([A-Za-z_]\w*)",
    re.MULTILINE,
)
_VERSION = re.compile(
    r"^\s*(?:FROM\s+|RUN\s+|pip install\s+)?([A-Za-z][\w.-]*)"
    r"\s*(?:[=~^>]=|[:@]|=\s*(?:\{\s*version\s*=\s*)?\")\s*[v^~=]?(\d+(?:\.\d+)+)",
    re.MULTILINE,
)


class Remembered(NamedTuple):
    """What a file of the memory holds; ``chapter`` is its name."""

    chapter: str
    terms: tuple[Term, ...] = ()
    types: tuple[str, ...] = ()
    examples: tuple[str, ...] = ()

    def lines(self, language: str) -> Iterator[str]:
        """What a request in ``language`` says of it, line by line."""
        for term in self.terms:
            if bool(matching.cjk_letters(term.name)) == matching.is_cjk_language(language):
                never = f" (never: {', '.join(term.avoid)})" if term.avoid else ""
                yield f"- {term.name}{': ' if term.means else ''}{term.means}{never}"
        where = "" if self.chapter == "book" else f" in chapter {self.chapter}"
        if self.types:
            yield f"- types defined{where}: {', '.join(self.types)}"
        if self.examples:
            yield f"- shown{where}: {'; '.join(self.examples)}"


class OtherChapters(NamedTuple):
    """What a chapter takes from the others. ``voice`` are the documents of those that it is to sound like."""

    memory: tuple[Remembered, ...] = ()
    voice: tuple[str, ...] = ()


NO_OTHERS = OtherChapters()


def read_others(workspace: Workspace, book: Book, outline: Outline, language: str) -> OtherChapters:
    """What there is for a chapter to be drafted in a language. Documents are taken as they stand; one in another script
    is no pattern. Raises ``InputError``."""
    sources = {chapter.id: chapter.source for chapter in book.chapters}
    memory, voice = read_memory(workspace), list[str]()
    for chapter in outline.voice or book.voice:
        outlined = workspace.outline_path(chapter).is_file()
        source = workspace.outline(chapter, language).source if outlined else sources.get(chapter)
        if source and source != outline.source and (path := workspace.source_path(source)).is_file():
            text = read_text(path)
            if matching.is_cjk_text(text) == matching.is_cjk_language(language):
                voice.append(text)
    return OtherChapters(memory, voice=tuple(voice))


def read_memory(workspace: Workspace) -> tuple[Remembered, ...]:
    """All that the book remembers, by file. Raises ``InputErrors`` with every mistake in a file."""
    files = [(path, path.stat()) for path in sorted(workspace.memory_path("book").parent.glob("*.yaml"))]
    return tuple(_remembered(workspace, path.stem, state.st_mtime_ns, state.st_size) for path, state in files)


@lru_cache(maxsize=1000)  # a run opens every chapter of the book, and each is told of all the others
def _remembered(workspace: Workspace, name: str, _time: int, _size: int) -> Remembered:
    path = workspace.memory_path(name)
    file = read_yaml(path, workspace.root)
    data = MEMORY.check(file)
    file.raise_if_any()
    return Remembered(
        chapter=name,
        terms=tuple(terms_of(data, "memory/book.yaml" if name == "book" else f"chapter {name}")),
        types=tuple(data.get("types", ())),
        examples=tuple(data.get("examples", ())),
    )


def terms_of(data: Mapping[str, Any], settled_by: str) -> Iterator[Term]:
    """The terms of a memory file or brief."""
    for name, said in data.get("terms", {}).items():
        stated = {"means": said} if isinstance(said, str) else said
        yield Term(name.strip(), stated.get("means", "").strip(), tuple(stated.get("avoid", ())), settled_by)


def told(
    memory: Sequence[Remembered],
    *,
    chapter: str,
    language: str,
    subject: str,
    most_tokens: int,
    count: Callable[[str], int],
) -> str:
    """What the requests of a chapter say of the others, in ``most_tokens``: first what ``subject``, the words of its
    outline, has in common with it. ``count`` counts a text's tokens."""
    found = [line for one in memory if one.chapter != chapter for line in one.lines(language)]
    wanted = matching.terms(subject)
    chosen = set()
    for number in sorted(range(len(found)), key=lambda n: (-len(wanted & matching.terms(found[n])), n)):
        if most_tokens < LEAST_TOKENS:
            break
        if (size := count(found[number]) + 1) <= most_tokens:
            chosen.add(number)
            most_tokens -= size
    return "\n".join(line for number, line in enumerate(found) if number in chosen)


def memorable(text: str, outline: Outline, brief: Brief | None, language: str) -> dict[str, Any]:
    """What a finished chapter leaves for the others: the terms of glossary, brief and text, the types that its code
    defines, and the headings of its examples. What the text does not have is left out."""
    shared = brief.shared if brief else {}
    known = [
        *terms_of(shared, ""),
        *(Term(term, meaning.say(language)) for term, meaning in outline.glossary.items()),
        *(Term(term, means) for _, term, means in definitions(text)),
    ]
    terms: dict[str, Any] = {}
    for term in known:
        new = term.means or term.avoid
        if new and term.pattern.search(text) and term.name.casefold() not in map(str.casefold, terms):
            means = excerpt(term.means, MOST_MEANING)
            stated = {"means": means, "avoid": [*term.avoid]}
            terms[term.name] = {key: value for key, value in stated.items() if value} if term.avoid else means
    fences = [fence for fence in blocks.fences(text) if fence.language not in ("", "text", "console", "output")]
    types = dict.fromkeys(name for fence in fences for name in _TYPE.findall(fence.code))
    example = cast("Mapping[str, Any]", shared.get("running_example", {}))
    examples = dict.fromkeys([excerpt(": ".join(example[key] for key in ("name", "purpose") if key in example), 200)])
    headings = blocks.headings(text)
    for fence in fences:
        above = [heading.title for heading in headings if heading.start < fence.start]
        if above and len(blocks.rows(fence.code)) >= LEAST_CODE_ROWS:
            examples[f"{excerpt(unnumbered(above[-1]), 200)} ({fence.language[:20]})"] = None
    examples.pop("", None)
    found = {"terms": terms, "types": [*types][:MOST_TYPES], "examples": [*examples][:MOST_EXAMPLES]}
    return {key: value for key, value in found.items() if value}


def standing(text: str) -> str:
    """What a text has defined so far, by kind and of each the latest: the types and functions of its code, the versions
    that code names, the terms. "" where there is none."""
    code = "\n".join(fence.code for fence in blocks.fences(text))
    found = {
        "types": _TYPE.findall(code),
        "functions": _FUNCTION.findall(code),
        "versions": [f"{name} {version}" for name, version in _VERSION.findall(code)],
        "terms": [term for _, term, _ in definitions(text)],
    }
    latest = {kind: [*dict.fromkeys(reversed(names))][:MOST_STANDING][::-1] for kind, names in found.items()}
    return "; ".join(f"{kind} {', '.join(names)}" for kind, names in latest.items() if names)


def remember(workspace: Workspace, chapter: str, data: Mapping[str, Any]) -> bool:
    """Write a chapter's file of the memory, or take it away where there is nothing to remember. False where a
    person wrote or changed it: then it stays as it is."""
    path = workspace.memory_path(chapter)
    if path.is_file() and (text := read_text(path)) != _headed(text.partition("\n")[2]):
        return False
    if data:
        write_atomically(path, _headed(written_yaml(data)))
    else:
        path.unlink(missing_ok=True)
    return True


def _headed(body: str) -> str:
    return _HEAD.format(hashlib.sha256(body.encode()).hexdigest()[:12]) + body
