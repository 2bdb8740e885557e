"""The template files: which there are and whose, which of them count for a chapter, and copies of them to be changed.

A template is known by its path below ``prompts/``: ``section.j2``, ``chapters/04/section.j2`` for
chapter 04, ``styles/tutorial/section.j2`` for a house style, ``brief/section.j2`` for models whose
profile says ``style = "brief"``. Nothing here renders.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Literal, NamedTuple

from expand.errors import InputError, InputErrors, Place
from expand.prompts.rendering import CHAPTERS, STYLES, packaged_folder
from expand.schema.validators import suggestion
from expand.workspace import Workspace, read_text, write_atomically

_BLOCK = re.compile(r"\{%[-+]?\s*block\s+(?P<name>\w+)[^%]*%\}\n?(?P<body>.*?)\{%[-+]?\s*endblock\b[^%]*%\}", re.DOTALL)
_PARTICULAR = re.compile(rf"(?P<kind>{CHAPTERS[:-1]}|{STYLES[:-1]})s/(?P<whose>[^/]+)/(?P<plain>.+)")

State = Literal["shipped", "same", "changed", "own"]


class TemplateFile(NamedTuple):
    """A template.

    ``plain_name`` is its name without the chapter or house style that it is for, ``origin`` whose it is, in words:
    ``shipped``, ``book``, ``style tutorial``, ``chapter 04``. ``state`` is ``own`` where it takes no other's place.
    ``packaged`` and ``own`` are its files, None where there is none."""

    name: str
    plain_name: str
    origin: str
    state: State
    packaged: Path | None
    own: Path | None


def template_files(workspace: Workspace) -> tuple[TemplateFile, ...]:
    """Every template, packaged or the workspace's own: the plain ones, then those for models,
    chapters and house styles, by name."""
    packaged, own = _found(packaged_folder()), _found(workspace.prompts_folder)
    for path in own.values():
        workspace.inside(path)
    if workspace.prompts_folder.resolve() == packaged_folder().resolve():
        own = {}
    files = []
    for name in sorted({*packaged, *own}, key=lambda name: (name.count("/"), name)):
        whose, plain, replaced = "book" if name in own else "shipped", name, packaged.get(name)
        if particular := _PARTICULAR.fullmatch(name):
            whose, plain = f"{particular['kind']} {particular['whose']}", particular["plain"]
            # A file for a chapter or style takes the place of the book's of that name, or the packaged one.
            replaced = replaced or own.get(plain) or packaged.get(plain)
        state: State = "shipped" if name not in own else "own"
        if name in own and replaced is not None:
            state = "same" if read_text(own[name]) == read_text(replaced) else "changed"
        files.append(TemplateFile(name, plain, whose, state, packaged.get(name), own.get(name)))
    return tuple(files)


def select_templates(files: Sequence[TemplateFile], names: Sequence[str]) -> tuple[TemplateFile, ...]:
    """The templates of these names, or in folders of these names; all if none is given. Raises ``InputError``."""
    found: dict[str, TemplateFile] = {}
    for name in (given.rstrip("/") for given in names):
        meant = {file.name: file for file in files if file.name in (name, f"{name}.j2")}
        meant = meant or {file.name: file for file in files if file.name.startswith(f"{name}/")}
        if not meant:
            wanted = f"{name.removesuffix('.j2')}.j2"
            raise InputError(f"there is no template {wanted}", remedy=suggestion(wanted, [file.name for file in files]))
        found |= meant
    return tuple(found.values()) if names else tuple(files)


def eject_templates(
    workspace: Workspace,
    files: Sequence[TemplateFile],
    *,
    chapter: str | None = None,
    block: str | None = None,
    force: bool = False,
) -> dict[str, bool]:
    """Copies templates into the workspace's ``prompts/``: for the book, or below the folder of a chapter. With
    ``block`` it is a file that extends the template and holds that block alone.

    Returns the names of the copies, and whether each was written: what is there and says the same is kept. What differs
    is refused before anything is written, unless ``force``. Raises ``InputErrors``."""
    known = workspace.chapter_ids() if chapter is not None else ()
    if chapter is not None and chapter not in known:
        raise InputError(f"chapter {chapter!r} has no outline", remedy=suggestion(chapter, known))
    written: dict[str, bool] = {}
    due: dict[Path, str] = {}
    errors = []
    for file in files:
        source = file.packaged if chapter is None else file.own or file.packaged
        if source is None:
            continue
        shown = f"prompts/{file.name if chapter is None else f'{CHAPTERS}/{chapter}/{file.plain_name}'}"
        path, text = workspace.inside(shown), read_text(source)
        text = text if block is None else _alone(file, text, block)
        written[shown] = force or not path.exists()
        if written[shown]:
            due[path] = text
        elif read_text(path) != text:
            what = "it is there and differs from what would be written"
            errors.append(InputError(what, remedy="--force puts the copy in its place", place=Place(path=shown)))
    if errors:
        raise InputErrors(errors)
    for path, text in due.items():
        write_atomically(path, text)
    return written


def _alone(file: TemplateFile, text: str, block: str) -> str:
    """A template that changes one block of another."""
    blocks = blocks_of(text)
    if block not in blocks:
        raise InputError(f"{file.name} has no block {block!r}", remedy=suggestion(block, blocks))
    body = f"\n{blocks[block]}" if blocks[block].endswith("\n") else blocks[block]
    name = PurePosixPath(file.plain_name).name
    return f'{{% extends "{name}" %}}\n{{% block {block} %}}{body}{{% endblock %}}\n'


def blocks_of(text: str) -> Mapping[str, str]:
    """The text of each block in a template's source. Blocks within blocks are not told apart."""
    return {match["name"]: match["body"] for match in _BLOCK.finditer(text)}


def _found(folder: Path) -> dict[str, Path]:
    return {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*.j2")) if path.is_file()}
