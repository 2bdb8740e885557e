"""The template files: which there are and whose, which of them count for a chapter, how they differ
from those whose place they take, and copies of them to be changed.

A template is known by its path below ``prompts/``: ``section.j2``, ``chapters/04/section.j2`` for
chapter 04, ``styles/tutorial/section.j2`` for a house style, ``brief/section.j2`` for models whose
profile says ``style = "brief"``. Nothing here renders.
"""

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Literal

from expand.errors import InputError, InputErrors, Place
from expand.prompts.rendering import CHAPTERS, DRAFTING_TEMPLATES, PLAIN, STYLES, Prompts, packaged_folder
from expand.schema.validators import suggestion
from expand.workspace import Workspace, read_text, write_atomically

ENDING = ".j2"
_BLOCK = re.compile(r"\{%[-+]?\s*block\s+(?P<name>\w+)[^%]*%\}\n?(?P<body>.*?)\{%[-+]?\s*endblock\b[^%]*%\}", re.DOTALL)
_EXTENDS = re.compile(r"""\{%[-+]?\s*extends\s+["']""")
RESERVED = (CHAPTERS, STYLES, "book", "shipped")
"""Names below ``prompts/`` that have a meaning of their own."""

State = Literal["shipped", "same", "changed", "own"]


@dataclass(frozen=True, kw_only=True, slots=True)
class TemplateFile:
    """A template: ``packaged`` and ``own`` are its files, None where there is none; ``replaced`` is
    the one whose place an own one takes, None where there is none."""

    name: str
    packaged: Path | None
    own: Path | None
    replaced: Path | None = None

    @property
    def used(self) -> Path:
        """The file that is read: the workspace's, else the packaged one."""
        found = self.own or self.packaged
        assert found is not None  # it is listed because one of them is there
        return found

    @property
    def plain_name(self) -> str:
        """The name without the chapter or house style that it is for."""
        parts = PurePosixPath(self.name).parts
        return "/".join(parts[2:] if parts[0] in (CHAPTERS, STYLES) and len(parts) > 2 else parts)

    @property
    def origin(self) -> str:
        """Whose it is, in words: ``shipped``, ``book``, ``style tutorial``, ``chapter 04``."""
        parts = PurePosixPath(self.name).parts
        if len(parts) > 2 and parts[0] == CHAPTERS:
            return f"chapter {parts[1]}"
        if len(parts) > 2 and parts[0] == STYLES:
            return f"style {parts[1]}"
        return "book" if self.own is not None else "shipped"

    @property
    def replaced_name(self) -> str:
        """What the file whose place it takes is called in messages; "" if there is none."""
        if self.replaced is None:
            return ""
        if self.packaged is not None:
            return f"shipped/{self.name}"
        shipped = self.replaced.is_relative_to(packaged_folder())
        return f"{'shipped' if shipped else 'prompts'}/{self.plain_name}"

    @property
    def state(self) -> State:
        """``shipped``, ``own`` (it takes no other's place), ``changed`` or ``same``."""
        if self.own is None:
            return "shipped"
        if self.replaced is None:
            return "own"
        return "same" if read_text(self.own) == read_text(self.replaced) else "changed"


@dataclass(frozen=True, kw_only=True, slots=True)
class Ejected:
    """What was copied into a workspace, and what was there and was kept."""

    written: tuple[str, ...]
    kept: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class UsedTemplate:
    """The file that a template is read from: ``takes`` are those that it extends or includes."""

    name: str
    origin: str
    path: Path
    takes: tuple[Path, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class ChapterTemplates:
    """The templates of a chapter: its house style, the file of each template that drafts are made
    from, and the files made for this chapter or style that do not count for this model."""

    style: str
    files: tuple[UsedTemplate, ...]
    not_used: tuple[Path, ...]


def templates_of_chapter(workspace: Workspace, chapter: str, *, model_style: str | None) -> ChapterTemplates:
    """The templates that are used for a chapter with a kind of model. Raises ``InputError``."""
    style = workspace.outline(chapter).style or workspace.book().style
    prompts = Prompts(workspace.prompts_folder, style=model_style).of(chapter, style)
    style_name = style.name if style is not None else PLAIN
    words = {"chapter": f"chapter {chapter}", "style": f"style {style_name}"}
    found: list[UsedTemplate] = []
    for name in DRAFTING_TEMPLATES:
        path, *takes = prompts.sources(name)
        origin = prompts.lookup.origin(path)
        found.append(UsedTemplate(name=name, origin=words.get(origin, origin), path=path, takes=tuple(takes)))
    used = {path for file in found for path in (file.path, *file.takes)}
    not_used = [
        path
        for place in prompts.lookup.places
        if place.origin in ("chapter", "style") and not place.folder.is_relative_to(packaged_folder())
        for path in _found(place.folder).values()
        if path not in used
    ]
    return ChapterTemplates(style=style_name, files=tuple(found), not_used=tuple(not_used))


def template_files(workspace: Workspace) -> tuple[TemplateFile, ...]:
    """Every template, packaged or the workspace's own: the plain ones, then those for models,
    chapters and house styles, by name."""
    packaged, own = _found(packaged_folder()), _found(workspace.prompts_folder)
    for path in own.values():
        workspace.inside(path)
    if workspace.prompts_folder.resolve() == packaged_folder().resolve():
        own = {}
    names = sorted({*packaged, *own}, key=lambda name: (name.count("/"), name))
    return tuple(_template_file(name, packaged, own) for name in names)


def _template_file(name: str, packaged: Mapping[str, Path], own: Mapping[str, Path]) -> TemplateFile:
    file = TemplateFile(name=name, packaged=packaged.get(name), own=own.get(name), replaced=packaged.get(name))
    if file.own is None or file.replaced is not None or file.plain_name == name:
        return file
    # A file for a chapter or style takes the place of the book's of that name, or the packaged one.
    return replace(file, replaced=own.get(file.plain_name) or packaged.get(file.plain_name))


def select_templates(files: Sequence[TemplateFile], names: Sequence[str]) -> tuple[TemplateFile, ...]:
    """The templates of these names, all if none is given. Raises ``InputError``."""
    known = {file.name: file for file in files}
    wanted = [name if name.endswith(ENDING) else name + ENDING for name in names]
    for name in wanted:
        if name not in known:
            raise InputError(f"there is no template {name}", remedy=suggestion(name, known))
    return tuple(known[name] for name in wanted) if names else tuple(files)


def difference(file: TemplateFile) -> str:
    """How the workspace's template differs from the one whose place it takes, as a unified diff; ""
    if not. Of one that extends another, the blocks that it changes are compared."""
    if file.own is None or file.replaced is None:
        return ""
    own, former = read_text(file.own), read_text(file.replaced)
    shown = file.replaced_name
    if not _EXTENDS.search(own):
        return _diff(former, own, shown, f"prompts/{file.name}")
    known = blocks_of(former)
    return "".join(
        _diff(known.get(name, ""), body, f"{shown} {name}", f"prompts/{file.name} {name}")
        for name, body in blocks_of(own).items()
    )


def eject(
    workspace: Workspace,
    files: Sequence[TemplateFile],
    *,
    chapter: str | None = None,
    style: str | None = None,
    model_style: str | None = None,
    block: str | None = None,
    force: bool,
) -> Ejected:
    """Copies templates into the workspace's ``prompts/``: for the book, or below the folder of a
    chapter, of a house style or of a kind of model. With ``block`` it is a file that extends the
    template and holds that block alone.

    What is there and says the same is kept; what differs is refused before anything is written,
    unless ``force``. Raises ``InputErrors``."""
    folder = _folder(workspace, chapter=chapter, style=style, model_style=model_style)
    written: list[tuple[str, Path, str]] = []
    kept: list[str] = []
    errors: list[InputError] = []
    for file in files:
        if folder is None and file.packaged is None:
            continue
        plain = file.plain_name if model_style is None else PurePosixPath(file.name).name
        name = f"{folder}/{plain}" if folder else file.name
        path, shown = workspace.inside("prompts", name), f"prompts/{name}"
        text = _text(file, folder=folder, block=block)
        if not path.exists() or force:
            written.append((shown, path, text))
        elif read_text(path) == text:
            kept.append(shown)
        else:
            what = "it is there and differs from what would be written"
            remedy = f"see `expand prompt diff {name}`; --force puts the copy in its place"
            errors.append(InputError(what, remedy=remedy, place=Place(path=shown)))
    if errors:
        raise InputErrors(errors)
    for _, path, text in written:
        write_atomically(path, text)
    return Ejected(written=tuple(shown for shown, _, _ in written), kept=tuple(kept))


def _text(file: TemplateFile, *, folder: str | None, block: str | None) -> str:
    """What is written for a template: the packaged text for the book, what counts now elsewhere."""
    source = file.used if folder or file.packaged is None else file.packaged
    text = read_text(source)
    if block is None:
        return text
    blocks = blocks_of(text)
    if block not in blocks:
        raise InputError(f"{file.name} has no block {block!r}", remedy=suggestion(block, blocks))
    tag, end = f"{{% block {block} %}}", "{% endblock %}"
    body = blocks[block]
    body = f"\n{body}" if body.endswith("\n") else body
    return f'{{% extends "{PurePosixPath(file.plain_name).name}" %}}\n{tag}{body}{end}\n'


def _folder(workspace: Workspace, *, chapter: str | None, style: str | None, model_style: str | None) -> str | None:
    """The folder below ``prompts/`` that copies go to; None for ``prompts/`` itself."""
    if sum(name is not None for name in (chapter, style, model_style)) > 1:
        raise InputError("a copy is for a chapter, a style or a kind of model", remedy="give one")
    if chapter is not None:
        known = workspace.chapter_ids()
        if chapter not in known:
            raise InputError(f"chapter {chapter!r} has no outline", remedy=suggestion(chapter, known))
        return f"{CHAPTERS}/{chapter}"
    name = style if style is not None else model_style
    if name is None:
        return None
    taken = (PLAIN,) if style is not None else RESERVED
    if not name or PurePosixPath(name).name != name or name[0] == "." or name in taken:
        raise InputError(f"{name!r} is no name of a style", remedy="give letters and digits")
    return f"{STYLES}/{name}" if style is not None else name


def blocks_of(text: str) -> Mapping[str, str]:
    """The text of each block in a template's source. Blocks within blocks are not told apart."""
    return {match["name"]: match["body"] for match in _BLOCK.finditer(text)}


def _diff(former: str, own: str, former_name: str, own_name: str) -> str:
    return "".join(
        line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n"
        for line in difflib.unified_diff(
            former.splitlines(keepends=True), own.splitlines(keepends=True), former_name, own_name
        )
    )


def _found(folder: Path) -> dict[str, Path]:
    return {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob(f"*{ENDING}")) if path.is_file()}
