"""Find templates, render them as messages for the author model, and copy them to be changed. No decisions about
drafting are taken here.

Templates are Jinja2 files, rendered in a sandbox with every undefined name an error. Two things hold of what is
rendered: ``system.j2`` sees nothing that changes between the requests of a chapter, neither chance nor the clock, so
that a provider's cache can serve it; and a request's last figure of lines or words is the number wanted.

``TemplateLookup`` says which file a name means. A file for a kind of model, such as ``brief/section.j2``, comes before
every plain one, in whatever place that stands: a small model cannot follow what was written for a large one. A template
that extends or includes its own name gets the next file in the order; any other name is looked for from the top.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields, replace
from functools import cache
from itertools import product
from pathlib import Path, PurePosixPath
from traceback import walk_tb

import jinja2
from jinja2 import meta, nodes

from expand.errors import InputError, InputErrors, Place
from expand.llm.types import Message
from expand.outline import Style, Unit
from expand.paths import require_inside
from expand.prompts.context import (
    SAMPLES,
    UNITS,
    BriefContext,
    ChapterContext,
    RequestContext,
    ReviewContext,
    SuggestionContext,
    TranslationContext,
    context_of,
)
from expand.prompts.template_sandbox import MeteredEnvironment, TooMuchError
from expand.schema.validators import suggestion
from expand.workspace import Workspace, read_text, write_atomically

CHAPTERS, STYLES = "chapters", "styles"
"""Folders of ``prompts/`` that hold those of a chapter and of a house style, and no model's."""
PLAIN = "plain"
"""The house style that adds nothing, for a chapter of a book that has another."""


def packaged_folder() -> Path:
    """The packaged templates: inside the wheel, or at the top of a source checkout."""
    inside = Path(__file__).parent / "templates"
    return inside if inside.is_dir() else Path(__file__).parents[3] / "prompts"


def known_styles(folder: Path | None) -> tuple[str, ...]:
    """The house styles that there are: packaged ones, those in ``folder``, and ``plain``."""
    found = {PLAIN}
    own = None if folder is None else require_inside(folder / STYLES, folder.parent)
    for styles in (own, packaged_folder() / STYLES):
        if styles is not None and styles.is_dir():
            found.update(path.name for path in styles.iterdir() if path.is_dir())
    return tuple(sorted(found))


def require_style(style: Style, folder: Path | None) -> None:
    """Refuses a house style that there is not, where it is named. Raises ``InputError``."""
    known = known_styles(folder)
    if style.name not in known:
        raise InputError(
            f"there is no style {style.name!r}",
            remedy=f"{suggestion(style.name, known)}; a style of your own is a folder prompts/{STYLES}/{style.name}",
            place=style.place,
        )


class TemplateLookup(jinja2.BaseLoader):
    """Where a chapter's templates are looked for, as it is now, the most particular place first: in the chapter's own
    folder, its house style's, the workspace's before the packaged one, the book's, and among the packaged templates.
    To Jinja2, a template's name is its path."""

    def __init__(
        self,
        folder: Path | None,
        *,
        model_style: str | None = None,
        house_style: str | None = None,
        chapter: str | None = None,
    ) -> None:
        self._book, self._model_style = folder, model_style
        roots = [root for root in (folder, packaged_folder()) if root is not None]
        own = [folder / CHAPTERS / chapter] if folder is not None and chapter is not None else []
        styles = [root / STYLES / house_style for root in roots] if house_style not in (None, PLAIN) else []
        self.folders = [path for path in (*own, *styles, *roots) if self.inside(path).is_dir()]
        # What a run says does not change under it: a name is looked up once, and a file read once.
        self.candidates = cache(self._candidates)
        self.texts: dict[Path, str] = {}

    def _candidates(self, name: str) -> tuple[Path, ...]:
        """The files that a name may mean, the first one first. A name that leads out is none."""
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts or "\\" in name or ":" in name:
            return ()
        names = [f"{self._model_style}/{name}", name] if self._model_style else [name]
        paths = dict.fromkeys(folder / one for one in names for folder in self.folders)
        return tuple(path for path in paths if self.inside(path).is_file())

    def inside(self, path: Path) -> Path:
        """A file or folder of the templates as it is. Raises ``InputError`` for one of the book's that a link leads out
        of its workspace."""
        if self._book is None or not path.is_relative_to(self._book):
            return path
        return require_inside(path, self._book.parent)

    def find(self, name: str, parent: Path | None = None) -> Path | None:
        """The file that a name means; in a ``parent`` of that name, the next one after it."""
        found = self.candidates(name)
        if parent in found:
            found = found[found.index(parent) + 1 :]
        return found[0] if found else None

    def text(self, path: Path) -> str:
        """A template's source. Raises ``InputError``."""
        if path not in self.texts:
            self.texts[path] = read_text(path).replace("\r\n", "\n")
        return self.texts[path]

    def get_source(self, environment: jinja2.Environment, template: str) -> tuple[str, str, None]:
        """What Jinja2 renders. A name that nothing was found for could be a file below the current folder by chance."""
        path = Path(template)
        if path not in self.texts:
            raise jinja2.TemplateNotFound(template)
        return self.texts[path], template, None


DRAFTING_TEMPLATES = ("system.j2", "section.j2", "continue.j2", "repair.j2", "length.j2")
"""The templates that drafts are made from: a draft is current while none of them changes."""
MOST_CHARACTERS = 4_000_000
"""The longest message: a million tokens, as much as any model reads."""
LAST_MESSAGES = ("section.j2", "continue.j2", "repair.j2")
"""Those that are a request's last message."""

_UNDEFINED = re.compile(r"^'(?P<name>[^']+)' is undefined$")
_NO_ATTRIBUTE = re.compile(r"object(?: \S+)?' has no attribute '(?P<name>[^']+)'$")
# Possessive, and from the first digit on: a text of a million digits would else be read a million times.
_STATED_LENGTH = re.compile(rf"(?<!\d)(\d++)\s*+({'|'.join(UNITS)})")

_TEMPLATE_ERRORS = (
    *(jinja2.TemplateError, TypeError, ValueError, ArithmeticError, LookupError, AttributeError),
    *(RecursionError, SyntaxError, MemoryError),  # brackets or blocks within one another, a thousand deep
)
"""What reading, compiling or rendering a template may raise because of what it says."""


_Context = ChapterContext | RequestContext | SuggestionContext | BriefContext | ReviewContext | TranslationContext


def _names(kind: type) -> list[str]:
    return sorted(field.name for field in fields(kind))


def _undefined(name: str, kind: type, place: Place) -> InputError:
    """The error for a name that a context of this kind does not declare."""
    return InputError(f"template: {name!r} is undefined", remedy=suggestion(name, _names(kind)), place=place)


class _Environment(MeteredEnvironment):
    def join_path(self, template: str, parent: str) -> str:
        """The file that a template means by a name; the name itself where there is none."""
        assert isinstance(self.loader, TemplateLookup)
        found = self.loader.find(template, Path(parent))
        if found is None:
            return template
        self.loader.text(found)
        return str(found)


class Prompts:
    """The templates of one workspace for one kind of model (``style``, as its profile says);
    ``of`` gives those of a chapter in its house style."""

    def __init__(
        self,
        folder: Path | None,
        *,
        style: str | None = None,
        house_style: str | None = None,
        chapter: str | None = None,
    ) -> None:
        self.lookup = TemplateLookup(folder, model_style=style, house_style=house_style, chapter=chapter)
        self._folder, self._style = folder, style
        self._environment = _Environment(loader=self.lookup, trim_blocks=True, lstrip_blocks=True, auto_reload=False)
        self.sources = cache(self._sources)
        """The file of a template and all that it takes text from, each once, in order.

        Where a template names another only while it renders, all that it may mean are in it."""
        self._trees: dict[Path, nodes.Template] = {}
        self._checked: set[tuple[str, ...]] = set()
        self._of_chapters: dict[tuple[str, str], Prompts] = {}

    def of(self, chapter: str, house_style: Style | None) -> Prompts:
        """The templates that hold for a chapter; chapters without files of their own share them.

        Raises ``InputError`` for a house style that there is not."""
        name = house_style.name if house_style is not None else PLAIN
        own = self._folder is not None and self.lookup.inside(self._folder / CHAPTERS / chapter).is_dir()
        key = (name, chapter if own else "")
        if key not in self._of_chapters:
            if house_style is not None:
                require_style(house_style, self._folder)
            self._of_chapters[key] = Prompts(self._folder, style=self._style, house_style=name, chapter=key[1] or None)
        return self._of_chapters[key]

    def _sources(self, name: str) -> tuple[Path, ...]:
        first = self.lookup.find(name)
        if first is None:
            folder = self.lookup.folders[0]
            remedy = f"add it to {folder}"
            raise InputError(f"there is no template {name}", remedy=remedy, place=Place(path=folder / name))
        found: dict[Path, None] = {}
        waiting = [first]
        while waiting:
            path = waiting.pop(0)
            if path in found:
                continue
            found[path] = None
            with self._faults_named(path):
                self._trees[path] = self._environment.parse(self.lookup.text(path), filename=str(path))
                references = list(meta.find_referenced_templates(self._trees[path]))
            for reference in references:
                if reference is None:
                    anywhere = (file for folder in self.lookup.folders for file in folder.glob("*.j2"))
                    waiting += map(self.lookup.inside, anywhere)
                elif target := self.lookup.find(reference, path):
                    waiting.append(target)
        return tuple(found)

    def fingerprint(self) -> str:
        """sha256 over the sources of the drafting templates, and of what they take text from:
        changes when any of them does, and not with a file that this chapter does not use."""
        digest = hashlib.sha256()
        for name in DRAFTING_TEMPLATES:
            digest.update(name.encode() + b"\0")
            for path in self.sources(name):
                digest.update(self.lookup.text(path).encode() + b"\0")
        return digest.hexdigest()

    def check(self, language: str, units: Sequence[Unit] = ("lines",)) -> None:
        """Tries the drafting templates in a language and for the units that requests count, so that what is wrong is
        said before anything is sent: unknown names in any branch, and requests that do not end on the length wanted.

        Raises ``InputErrors``."""
        if (language, *units) in self._checked:
            return
        errors = {str(error): error for name in DRAFTING_TEMPLATES for error in self._unknown_names(name)}
        if errors:
            raise InputErrors(list(errors.values()))
        for name, sample, unit in product(LAST_MESSAGES, SAMPLES, units):
            self.message(name, replace(sample, language=language, unit=unit))
        self._checked.add((language, *units))

    def _unknown_names(self, template: str) -> Iterator[InputError]:
        """An error for each name that nothing declares or sets, in any branch of a template."""
        kind = context_of(template)
        trees = {path: self._trees[path] for path in self.sources(template)}
        known = {"caller", "varargs", *_names(kind)}
        for tree in trees.values():  # what is set, and what it is asked of whether it is defined
            known.update(name.name for name in tree.find_all(nodes.Name) if name.ctx == "store")
            tests = (test.node for test in tree.find_all(nodes.Test) if test.name in ("defined", "undefined"))
            known.update(node.name for node in tests if isinstance(node, nodes.Name))
        for path, tree in trees.items():
            with self._faults_named(path):  # it may name a filter or a block that there is not
                unknown = meta.find_undeclared_variables(tree) - known
            uses = sorted((name.lineno, name.name) for name in tree.find_all(nodes.Name) if name.name in unknown)
            for name in dict.fromkeys(name for _, name in uses):
                line = next(line for line, used in uses if used == name)
                yield _undefined(name, kind, Place(path=path, line=line))

    def message(self, template: str, context: _Context) -> Message:
        """A template as a message: ``system.j2`` as the first one, which is byte for byte the same for all requests of
        a chapter, any other as the user's. Raises ``InputError``, for a request as well that does not end on the length
        wanted."""
        path = self.sources(template)[0]
        values = {field.name: getattr(context, field.name) for field in fields(context)}
        with self._faults_named(path, type(context)):
            self._environment.begin()
            text = self._environment.get_template(str(path)).render(values).strip()
            if len(text) > MOST_CHARACTERS:
                raise TooMuchError
        if template in LAST_MESSAGES and isinstance(context, RequestContext):
            _require_length(text, context, path)
        return Message(role="system" if isinstance(context, ChapterContext) else "user", content=text)

    @contextmanager
    def _faults_named(self, path: Path, kind: type = RequestContext) -> Iterator[None]:
        """Raises what Jinja2 and Python raise because of a template's text as an ``InputError`` with file and line."""
        try:
            yield
        except _TEMPLATE_ERRORS as error:
            raise self._mapped(error, path, kind) from error

    def _mapped(self, error: BaseException, path: Path, kind: type) -> InputError:
        if isinstance(error, jinja2.TemplateSyntaxError):
            named = Path(error.filename or path)  # jinja2's own <introspection> is no file
            place = Place(path=named if named in self.lookup.texts else path, line=error.lineno)
            return InputError(f"template syntax: {error.message}", remedy="mend the template", place=place)
        # Jinja2 rewrites tracebacks to template lines; the innermost one counts, of an included template too.
        frames = ((Path(frame.f_code.co_filename), line) for frame, line in walk_tb(error.__traceback__))
        rendered = [Place(path=file, line=line) for file, line in frames if file in self.lookup.texts]
        place = rendered[-1] if rendered else Place(path=path)
        remedy = f"it may use: {', '.join(_names(kind))}"
        if isinstance(error, jinja2.TemplateNotFound):
            what = f"the template takes text from {error.name}, which does not exist"
            remedy = "add that file, or name another"
        elif isinstance(error, RecursionError | SyntaxError | MemoryError):
            what, remedy = "template: its brackets or blocks are nested too deeply", "flatten it"
            if rendered:
                what = "the template takes text from itself, without end"
                remedy = "see `expand prompt list --chapter ID`"
        elif match := _UNDEFINED.search(str(error)):
            return _undefined(match["name"], kind, place)
        elif match := _NO_ATTRIBUTE.search(str(error)):
            what = f"template: nothing here has {match['name']!r}"
        else:
            what = f"template: {error}"
            remedy = "repeat less, and join shorter texts" if isinstance(error, TooMuchError) else remedy
        return InputError(what, remedy=remedy, place=place)


def _require_length(text: str, context: RequestContext, path: Path) -> None:
    """Refuses a request whose last figure of lines or words is not what is wanted."""
    figures = _STATED_LENGTH.findall(text)
    digits, unit = figures[-1] if figures else ("", "")
    count = int(digits.lstrip("0")[:15] or "0")  # longer than any number that can be meant
    if (count, UNITS.get(unit)) == (context.lines, context.unit):
        return
    stated = f"the last such figure is {count:,} {unit}" if figures else "it states none"
    names = [name for name, meant in UNITS.items() if meant == context.unit]
    wanted = names[-1 if context.language == "zh" else 0]
    raise InputError(
        f"template: a request has to end on its {context.lines:,} {context.unit}; {stated}",
        remedy=f'end it on {{% include "length.j2" %}}, or on {{{{ lines }}}} {wanted}',
        place=Place(path=path),
    )


# --- the template files of a workspace: which there are, and copies of them to be changed

_BLOCK = re.compile(r"\{%[-+]?\s*block\s+(?P<name>\w+)[^%]*%\}\n?(?P<body>.*?)\{%[-+]?\s*endblock\b[^%]*%\}", re.DOTALL)
_PARTICULAR = re.compile(rf"(?:{CHAPTERS}|{STYLES})/[^/]+/")


def template_files(workspace: Workspace) -> dict[str, Path]:
    """The file of every template by its name, the workspace's own before the packaged one: the plain ones, then those
    for models, chapters and house styles, by name."""
    found = _found(packaged_folder()) | _found(workspace.prompts_folder)
    return {name: found[name] for name in sorted(found, key=lambda name: (name.count("/"), name))}


def _found(folder: Path) -> dict[str, Path]:
    return {path.relative_to(folder).as_posix(): path for path in folder.rglob("*.j2") if path.is_file()}


def select_templates(known: Iterable[str], wanted: Sequence[str]) -> list[str]:
    """The known templates of these names, or in folders of these names; all if none is given. Raises ``InputError``."""
    known, found = [*known], dict[str, None]()
    for name in (given.rstrip("/").removesuffix(".j2") for given in wanted):
        meant = [one for one in known if one == f"{name}.j2"] or [one for one in known if one.startswith(f"{name}/")]
        if not meant:
            raise InputError(f"there is no template {name}.j2", remedy=suggestion(f"{name}.j2", known))
        found |= dict.fromkeys(meant)
    return [*found] if wanted else known


def eject_templates(
    workspace: Workspace, names: Sequence[str], *, chapter: str | None = None, block: str | None = None
) -> dict[str, bool]:
    """Copies templates into the workspace's ``prompts/``: packaged ones for the book, or those of the book below the
    folder of a chapter. With ``block`` it is a file that extends the template and holds that block alone.

    Returns the names of the copies, and whether each was written: what is there and says the same is kept. What differs
    is refused before anything is written. Raises ``InputErrors``."""
    if chapter is not None and chapter not in (known := workspace.chapter_ids()):
        raise InputError(f"chapter {chapter!r} has no outline", remedy=suggestion(chapter, known))
    sources = template_files(workspace) if chapter is not None else _found(packaged_folder())
    texts: dict[Path, str] = {}
    errors = []
    for name in names:
        if (source := sources.get(name)) is None:
            continue
        plain = _PARTICULAR.sub("", name)
        path = workspace.inside(f"prompts/{name if chapter is None else f'{CHAPTERS}/{chapter}/{plain}'}")
        text = read_text(workspace.inside(source) if source.is_relative_to(workspace.prompts_folder) else source)
        texts[path] = text if block is None else _alone(name, text, block)
        if path.exists() and read_text(path) != texts[path]:
            what = "it is there and differs from what would be written"
            errors.append(InputError(what, remedy="delete it first", place=Place(path=workspace.relative(path))))
    if errors:
        raise InputErrors(errors)
    written = {path: not path.exists() for path in texts}
    for path in (path for path, is_new in written.items() if is_new):
        write_atomically(path, texts[path])
    return {workspace.relative(path): is_new for path, is_new in written.items()}


def _alone(name: str, text: str, block: str) -> str:
    """A template that changes one block of another."""
    blocks = blocks_of(text)
    if block not in blocks:
        raise InputError(f"{name} has no block {block!r}", remedy=suggestion(block, blocks))
    body = f"\n{blocks[block]}" if blocks[block].endswith("\n") else blocks[block]
    return f'{{% extends "{PurePosixPath(name).name}" %}}\n{{% block {block} %}}{body}{{% endblock %}}\n'


def blocks_of(text: str) -> Mapping[str, str]:
    """The text of each block in a template's source. Blocks within blocks are not told apart."""
    return {match["name"]: match["body"] for match in _BLOCK.finditer(text)}
