"""Templates to messages: what is said to the author model. No decisions are taken here.

Templates are Jinja2 files, rendered in a sandbox with every undefined name an error; ``shelf``
says which file a name means. Two things hold of what is rendered: ``system.j2`` sees nothing that
changes between the requests of a chapter, neither chance nor the clock, so that a provider's cache
can serve it; and a request's last figure of lines is the number wanted.
"""

from __future__ import annotations

import hashlib
from dataclasses import fields, replace
from pathlib import Path

import jinja2

from expand.errors import InputError, InputErrors, Place
from expand.llm.types import Message
from expand.outline import Style
from expand.prompts.context import (
    LANGUAGE_NAMES,
    SAMPLES,
    ChapterContext,
    RequestContext,
    SectionContext,
    SuggestionContext,
)
from expand.prompts.engine import TemplateEngine
from expand.prompts.template_lookup import (
    CHAPTERS,
    PLAIN,
    TemplateLookup,
    packaged_folder,
    require_style,
)
from expand.prompts.validation import (
    Names,
    Read,
    read,
    references,
    rendering_error,
    stated_lines,
    undeclared_names,
)

__all__ = [
    "DRAFTING_TEMPLATES",
    "LANGUAGE_NAMES",
    "TEMPLATES",
    "ChapterContext",
    "Prompts",
    "RequestContext",
    "SectionContext",
    "SuggestionContext",
    "packaged_folder",
]

DRAFTING_TEMPLATES = ("system.j2", "section.j2", "continue.j2", "repair.j2", "length.j2")
"""The templates that drafts are made from: a draft is current while none of them changes."""
TEMPLATES = (*DRAFTING_TEMPLATES, "suggest.j2")
"""Every template that a request is made from."""
ASKING = ("section.j2", "continue.j2", "repair.j2")
"""Those that are a request's last message."""

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
_SUGGESTION_USES = Names(
    declared=frozenset(f.name for f in fields(SuggestionContext)),
    elsewhere=frozenset(),
    reason="",
    attributes=frozenset(),
)
_USES = {"system.j2": _SYSTEM_USES, "suggest.j2": _SUGGESTION_USES}


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
        self._paths: dict[str, Path] = {}
        self.shelf = TemplateLookup(folder, model_style=style, house_style=house_style, chapter=chapter)
        self._environment = TemplateEngine(self.shelf)
        self._fingerprint: str | None = None
        self._named: dict[Path, tuple[str | None, ...]] = {}
        self._tried: set[str] = set()
        self._styles: set[str] = set()
        self._others: dict[tuple[str, str], Prompts] = {}

    def of(self, chapter: str, house_style: Style | None) -> Prompts:
        """The templates that hold for a chapter; chapters without files of their own share them.

        Raises ``InputError`` for a house style that there is not.
        """
        name = house_style.name if house_style is not None else PLAIN
        if house_style is not None and name not in self._styles:
            require_style(house_style, self._folder)
            self._styles.add(name)
        own = self._folder is not None and (self._folder / CHAPTERS / chapter).is_dir()
        key = (name, chapter if own else "")
        if key not in self._others:
            self._others[key] = Prompts(self._folder, style=self._style, house_style=name, chapter=key[1] or None)
        return self._others[key]

    def path(self, name: str) -> Path:
        """The file that ``name`` (such as ``section.j2``) is read from, as it was at first."""
        found = self._paths.get(name) or self.shelf.find(name)
        if found is None:
            place = self.shelf.places[0].folder / name
            raise InputError(
                f"there is no template {name}",
                remedy=f"add it to {place.parent}",
                place=Place(path=place),
            )
        self._paths[name] = found
        return found

    def sources(self, name: str) -> tuple[Path, ...]:
        """The file of a template and all that it takes text from, each once, in order.

        Where a template names another only while it renders, all that it may mean are in it.
        """
        found: dict[Path, None] = {}
        open_ones = [self.path(name)]
        while open_ones:
            path = open_ones.pop(0)
            if path in found:
                continue
            found[path] = None
            for reference in self._references(path):
                if reference is None:
                    open_ones += [file for place in self.shelf.places for file in place.folder.glob("*.j2")]
                elif target := self.shelf.find(reference, path):
                    open_ones.append(target)
        return tuple(found)

    def fingerprint(self) -> str:
        """sha256 over the sources of the drafting templates, and of what they take text from:
        changes when any of them does, and not with a file that this chapter does not use.
        """
        if self._fingerprint is None:
            digest = hashlib.sha256()
            for name in DRAFTING_TEMPLATES:
                digest.update(name.encode() + b"\0")
                for path in self.sources(name):
                    digest.update(self._environment.text(path).encode() + b"\0")
            self._fingerprint = digest.hexdigest()
        return self._fingerprint

    def check(self, language: str) -> None:
        """Tries the drafting templates in a language, so that what is wrong is said before anything
        is sent: unknown names in any branch, and requests that do not end on the lines wanted.
        Templates that are the packaged ones from end to end are taken as they are: a test tries
        them all.

        Raises ``InputErrors``.
        """
        if language in self._tried:
            return
        errors: dict[str, InputError] = {}
        own = [name for name in DRAFTING_TEMPLATES if not self._is_shipped(name)]
        for name in own:
            names = _USES.get(name, _REQUEST_USES)
            for error in undeclared_names(map(self._read, self.sources(name)), names):
                errors.setdefault(str(error), error)
        if errors:
            raise InputErrors(list(errors.values()))
        for name in (name for name in ASKING if name in own):
            for sample in SAMPLES:
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
                f"template: a request has to end on its {context.lines:,} lines; {said}",
                remedy=f'end it on {{% include "length.j2" %}}, or on {{{{ lines }}}} {unit}',
                place=Place(path=self.path(template)),
            )
        return Message(role="user", content=text)

    def suggestion(self, context: SuggestionContext) -> Message:
        """The message that asks for the sections of a chapter."""
        text = self._render("suggest.j2", context, _SUGGESTION_USES)
        return Message(role="user", content=text)

    def _render(
        self,
        name: str,
        context: ChapterContext | RequestContext | SuggestionContext,
        names: Names,
    ) -> str:
        values = {field: getattr(context, field) for field in names.declared}
        path = self.path(name)
        try:
            return self._environment.get_template(str(path)).render(values).strip()
        except (jinja2.TemplateError, TypeError, ValueError, ArithmeticError, RecursionError) as e:
            raise self._mapped(e, path, names) from e

    def _is_shipped(self, name: str) -> bool:
        """Whether a template is a packaged one, with all that it takes text from."""
        return all(map(self.shelf.ships, self.sources(name)))

    def _references(self, path: Path) -> tuple[str | None, ...]:
        """Whom a file takes text from, as ``references`` says."""
        if path not in self._named:
            try:
                self._named[path] = references(self._environment.tree(path))
            except jinja2.TemplateError as error:
                raise self._mapped(error, path, _REQUEST_USES) from error
        return self._named[path]

    def _read(self, path: Path) -> Read:
        try:
            return read(path, self._environment.tree(path))
        except jinja2.TemplateError as error:  # it names a filter or a block that there is not
            raise self._mapped(error, path, _REQUEST_USES) from error

    def _mapped(self, error: BaseException, path: Path, names: Names) -> InputError:
        """An error of the engine as one that names the template's file and line."""
        if isinstance(error, jinja2.TemplateSyntaxError):
            named = Path(error.filename or path)  # jinja2's own <introspection> is no file
            place = Place(path=named if self._environment.gave(named) else path, line=error.lineno)
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
