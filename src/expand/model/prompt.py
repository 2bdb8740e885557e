"""Templates to messages: what is said to the author model. No decisions are taken here.

Templates are Jinja2 files, rendered in a sandbox with every undefined name an error; ``shelf`` says
which file a name means. Two things hold of what is rendered: ``system.j2`` sees nothing that changes
between the requests of a chapter, nor chance nor the clock, so that a provider's cache can serve it;
and a request's last figure of lines is the number wanted.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path

import jinja2
from jinja2.sandbox import SandboxedEnvironment

from expand.completion import Message
from expand.errors import InputError, InputErrors, Place
from expand.model.shelf import Shelf, packaged_folder, require_style
from expand.model.template_faults import (
    Names,
    Read,
    read,
    rendering_error,
    stated_lines,
    undeclared_names,
)
from expand.outline import Style

__all__ = [
    "LANGUAGE_NAMES",
    "TEMPLATES",
    "ChapterContext",
    "Prompts",
    "RequestContext",
    "SectionContext",
    "packaged_folder",
]

DRAFTING_TEMPLATES = ("system.j2", "section.j2", "continue.j2", "repair.j2", "length.j2")
"""The templates that drafts are made from: a draft is current while none of them changes."""
TEMPLATES = (*DRAFTING_TEMPLATES, "suggest.j2")
"""Every template that a request is made from."""
ASKING = ("section.j2", "continue.j2", "repair.j2")
"""Those that are a request's last message."""

LANGUAGE_NAMES = {"en": "English", "zh": "Chinese (简体中文)", "de": "German", "fr": "French",
                  "es": "Spanish", "ja": "Japanese", "ko": "Korean", "pt": "Portuguese",
                  "ru": "Russian", "it": "Italian"}  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class SectionContext:
    """A section as the system template sees it: ``share`` is its part of the chapter in percent."""

    number: int
    title: str
    topics: tuple[str, ...]
    share: int


@dataclass(frozen=True, kw_only=True, slots=True)
class ChapterContext:
    """What ``system.j2`` may use: what stays the same for every request of a chapter."""

    language: str
    language_name: str
    book_title: str
    chapter_id: str
    chapter_title: str
    audience: str
    house_rules: tuple[str, ...]
    glossary: Mapping[str, str]
    code_examples: int
    code_language: str
    sections: tuple[SectionContext, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class RequestContext:
    """What ``section.j2`` and ``continue.j2`` may use: one request's own matter.

    ``topics`` are this request's topics, ``lines`` how many lines it asks for, ``before`` the end
    of what the section already says, ``open_fence`` the opening line of a code block that the text
    breaks off in ("" if none), ``aspect`` the side of a topic to look at ("" if the whole),
    ``instruction`` what an editor wants of a new version and ``present`` the text that is to be
    replaced, ``problems`` what a repair is to mend in it, ``told`` what earlier sections say ("" if
    the sections are drafted side by side). ``opens_section`` and ``closes_section`` say that the
    section's first topic begins here, and that its last one is among these.
    """

    language: str
    audience: str
    chapter_id: str
    chapter_title: str
    section_number: int
    section_title: str
    topics: tuple[str, ...]
    lines: int
    previous_section: str = ""
    section_note: str = ""
    source_material: str = ""
    before: str = ""
    open_fence: str = ""
    aspect: str = ""
    code_examples: int = 0
    instruction: str = ""
    present: str = ""
    told: str = ""
    problems: tuple[str, ...] = field(default=())
    opens_section: bool = False
    closes_section: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class SuggestionContext:
    """What ``suggest.j2`` may use: a chapter whose sections are to be proposed.

    ``lines`` is the whole chapter's target, ``headings`` the sections that its document has
    already, ``problems`` what is wrong with the former answer, ``present``.
    """

    language: str
    language_name: str
    book_title: str
    audience: str
    house_rules: tuple[str, ...]
    chapter_id: str
    chapter_title: str
    lines: int
    least_sections: int
    most_sections: int
    other_chapters: tuple[str, ...] = ()
    headings: tuple[str, ...] = ()
    source_material: str = ""
    present: str = ""
    problems: tuple[str, ...] = ()


_CHAPTER_NAMES = frozenset(f.name for f in fields(ChapterContext))
_REQUEST_NAMES = frozenset(f.name for f in fields(RequestContext))
_SYSTEM_USES = Names(
    declared=_CHAPTER_NAMES,
    elsewhere=_REQUEST_NAMES - _CHAPTER_NAMES,
    reason="it changes from request to request, and system.j2 is the same for a whole chapter, so "
    "that it can be cached; say it in section.j2, continue.j2 or repair.j2",
    attributes=frozenset(f.name for f in fields(SectionContext)),
)
_REQUEST_USES = Names(
    declared=_REQUEST_NAMES,
    elsewhere=_CHAPTER_NAMES - _REQUEST_NAMES,
    reason="it is the same for a whole chapter: say it in system.j2, which is sent first",
    attributes=frozenset(),
)

_DECOY = "It is said here in 7 lines. 这里有 7 行。"
_SAMPLE_LINES = 4_217
_SAMPLE = RequestContext(
    language="en",
    audience=_DECOY,
    chapter_id="03",
    chapter_title="Sample",
    section_number=2,
    section_title="Sample",
    topics=("One",),
    lines=_SAMPLE_LINES,
)
_SAMPLES = (
    _SAMPLE,
    replace(_SAMPLE, topics=(), opens_section=True, closes_section=True),
    replace(
        _SAMPLE,
        topics=("One", "Two"),
        previous_section="Before",
        section_note=_DECOY,
        source_material=_DECOY,
        before=_DECOY,
        open_fence="```rust",
        aspect=_DECOY,
        code_examples=2,
        instruction=_DECOY,
        present=_DECOY,
        told=_DECOY,
        problems=(_DECOY,),
    ),
)
"""Requests that templates are tried on: whatever they hold, the lines wanted are the last figure."""


class Prompts:
    """The templates of one workspace for one kind of model (``style``, as its profile says);
    ``of`` gives those of a chapter in its house style.
    """

    def __init__(
        self,
        folder: Path | None,
        *,
        style: str | None = None,
        house_style: str | None = None,
        chapter: str | None = None,
    ) -> None:
        self._folder = folder
        self._style = style
        self.shelf = Shelf(folder, model_style=style, house_style=house_style, chapter=chapter)
        self._environment = _Environment(self.shelf)
        self._fingerprint: str | None = None
        self._read: dict[Path, Read] = {}
        self._tried: set[str] = set()
        self._others: dict[tuple[Path, ...], Prompts] = {}

    def of(self, chapter: str, house_style: Style | None) -> Prompts:
        """The templates that hold for a chapter; chapters without files of their own share them.

        Raises ``InputError`` for a house style that there is not.
        """
        if house_style is not None:
            require_style(house_style, self._folder)
        name = house_style.name if house_style is not None else None
        shelf = Shelf(self._folder, model_style=self._style, house_style=name, chapter=chapter)
        places = tuple(place.folder for place in shelf.places)
        if places not in self._others:
            self._others[places] = Prompts(
                self._folder, style=self._style, house_style=name, chapter=chapter
            )
        return self._others[places]

    def path(self, name: str) -> Path:
        """The file that ``name`` (such as ``section.j2``) is read from."""
        found = self.shelf.find(name)
        if found is None:
            place = self.shelf.places[0].folder / name
            raise InputError(
                f"there is no template {name}",
                remedy=f"add it to {place.parent}",
                place=Place(path=place),
            )
        return found

    def sources(self, name: str) -> tuple[Path, ...]:
        """The file of a template and all that it takes text from, each once, in order.

        Where a template names another only while it renders, all that it may mean are in it.
        """
        return tuple(source.path for source in self._sources(name))

    def fingerprint(self) -> str:
        """sha256 over the sources of all templates, and of what they take text from: changes when
        any of them does, and not with a file that this chapter does not use.
        """
        if self._fingerprint is None:
            digest = hashlib.sha256()
            for name in TEMPLATES:
                digest.update(name.encode() + b"\0")
                for path in self.sources(name):
                    digest.update(self._environment.text(path).encode() + b"\0")
            self._fingerprint = digest.hexdigest()
        return self._fingerprint

    def check(self, language: str) -> None:
        """Tries every template in a language, so that what is wrong is said before anything is
        sent: unknown names in any branch, and requests that do not end on the lines wanted.

        Raises ``InputErrors``.
        """
        if language in self._tried:
            return
        errors: dict[str, InputError] = {}
        for name in TEMPLATES:
            names = _SYSTEM_USES if name == "system.j2" else _REQUEST_USES
            for error in undeclared_names(self._sources(name), names):
                errors.setdefault(str(error), error)
        if errors:
            raise InputErrors(list(errors.values()))
        for name in ASKING:
            for sample in _SAMPLES:
                self.request(name, replace(sample, language=language))
        self._tried.add(language)

    def system(self, context: ChapterContext) -> Message:
        """The first message, byte for byte the same for all requests of a chapter."""
        return Message(role="system", content=self._render("system.j2", context, _SYSTEM_USES))

    def request(self, template: str, context: RequestContext) -> Message:
        """The last message: ``template`` is ``section.j2``, ``continue.j2`` or the like."""
        text = self._render(template, context, _REQUEST_USES)
        stated = stated_lines(text)
        if stated != context.lines and template in ASKING:
            said = "it states none" if stated is None else f"the last such figure is {stated:,}"
            unit = "行" if context.language == "zh" else "lines"
            raise InputError(
                f"template: a request for {context.lines:,} lines has to end on that figure; {said}",
                remedy=f'end it on {{% include "length.j2" %}}, or on {{{{ lines }}}} {unit}',
                place=Place(path=self.path(template)),
            )
        return Message(role="user", content=text)

    def _render(self, name: str, context: ChapterContext | RequestContext, names: Names) -> str:
        values = {f.name: getattr(context, f.name) for f in fields(context)}
        path = self.path(name)
        try:
            return self._environment.get_template(str(path)).render(values).strip()
        except (jinja2.TemplateError, TypeError, ValueError, ArithmeticError, RecursionError) as e:
            raise self._mapped(e, path, names) from e

    def _sources(self, name: str) -> tuple[Read, ...]:
        found: dict[Path, Read] = {}
        open_ones = [self.path(name)]
        while open_ones:
            path = open_ones.pop(0)
            if path in found:
                continue
            source = found[path] = self._source(path)
            for reference in source.references:
                if reference is None:
                    open_ones += [
                        file for place in self.shelf.places for file in place.folder.glob("*.j2")
                    ]
                elif target := self.shelf.find(reference, path):
                    open_ones.append(target)
        return tuple(found.values())

    def _source(self, path: Path) -> Read:
        if path not in self._read:
            try:
                self._read[path] = read(self._environment, path, self._environment.text(path))
            except jinja2.TemplateError as error:
                raise self._mapped(error, path, _REQUEST_USES) from error
        return self._read[path]

    def _mapped(self, error: BaseException, path: Path, names: Names) -> InputError:
        """An error of the engine as one that names the template's file and line."""
        if isinstance(error, jinja2.TemplateSyntaxError):
            place = Place(path=error.filename or path, line=error.lineno)
            what, remedy = f"template syntax: {error.message}", "mend the template"
            return InputError(what, remedy=remedy, place=place)
        place = self._place(error, path)
        if isinstance(error, jinja2.TemplateNotFound):
            what = f"the template takes text from {error.name}, which does not exist"
            return InputError(what, remedy="add that file, or name another", place=place)
        if isinstance(error, RecursionError):
            what = "the template takes text from itself, without end"
            remedy = "a template that extends its own name gets the next one in the order; see "
            return InputError(what, remedy=f"{remedy}`expand prompt list`", place=place)
        return rendering_error(error, names, place)

    def _place(self, error: BaseException, path: Path) -> Place:
        """Where a rendering error arose: jinja2 rewrites tracebacks to template lines. An error in
        an included template is that template's.
        """
        place = Place(path=path)
        trace = error.__traceback__
        while trace is not None:
            file = Path(trace.tb_frame.f_code.co_filename)
            if self._environment.gave(file):
                place = Place(path=file, line=trace.tb_lineno)
            trace = trace.tb_next
        return place


class _Environment(SandboxedEnvironment):
    """Jinja2 with the shelf's order of files. A template's name here is its path."""

    def __init__(self, shelf: Shelf) -> None:
        super().__init__(
            loader=jinja2.FunctionLoader(self._load),
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )
        self._shelf = shelf
        self._texts: dict[Path, str] = {}
        # What is said must not depend on chance: a section would never be current.
        del self.globals["lipsum"]
        del self.filters["random"]

    def text(self, path: Path) -> str:
        """A template's source, read once. Raises ``InputError``."""
        if path not in self._texts:
            try:
                self._texts[path] = path.read_text(encoding="utf-8")
            except (OSError, UnicodeDecodeError) as error:
                raise InputError(
                    f"the template cannot be read: {error}",
                    remedy="save it as UTF-8, and check who may read it",
                    place=Place(path=path),
                ) from error
        return self._texts[path]

    def gave(self, path: Path) -> bool:
        """Whether a path is that of a template which was read here."""
        return path in self._texts

    def join_path(self, template: str, parent: str) -> str:
        """The file that a template means by a name; the name itself where there is none."""
        found = self._shelf.find(template, Path(parent))
        return str(found) if found is not None else f"{template}\0"

    def _load(self, name: str) -> tuple[str, str, None] | None:
        if name.endswith("\0"):
            raise jinja2.TemplateNotFound(name[:-1])
        return self.text(Path(name)), name, None
