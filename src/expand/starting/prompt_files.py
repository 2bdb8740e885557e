"""The template files: which there are, which of them a workspace has made its own, and how these
differ from the packaged ones.

A template is known by its path below ``prompts/``: ``section.j2``, or ``brief/section.j2`` for
the style called brief. Nothing here renders.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from expand.errors import InputError, InputErrors, Place
from expand.model.prompt import packaged_folder
from expand.outline.shape import suggestion
from expand.workspace import Workspace, read_text, write_atomically

ENDING = ".j2"


@dataclass(frozen=True, kw_only=True, slots=True)
class TemplateFile:
    """A template: ``packaged`` and ``own`` are its files, None where there is none."""

    name: str
    packaged: Path | None
    own: Path | None

    @property
    def used(self) -> Path:
        """The file that is read: the workspace's, else the packaged one."""
        found = self.own or self.packaged
        assert found is not None  # it is listed because one of them is there
        return found

    @property
    def state(self) -> str:
        """``packaged``, ``own`` (there is no packaged one), ``changed`` or ``same``."""
        if self.own is None:
            return "packaged"
        if self.packaged is None:
            return "own"
        return "same" if read_text(self.own) == read_text(self.packaged) else "changed"


@dataclass(frozen=True, kw_only=True, slots=True)
class Ejected:
    """What was copied into a workspace, and what was there and was kept."""

    written: tuple[str, ...]
    kept: tuple[str, ...]


def template_files(workspace: Workspace) -> tuple[TemplateFile, ...]:
    """Every template, packaged or the workspace's own, by name; those of styles come last."""
    packaged, own = _found(packaged_folder()), _found(workspace.prompts_folder)
    if workspace.prompts_folder.resolve() == packaged_folder().resolve():
        own = {}
    names = sorted({*packaged, *own}, key=lambda name: (name.count("/"), name))
    return tuple(
        TemplateFile(name=name, packaged=packaged.get(name), own=own.get(name)) for name in names
    )


def chosen(files: Sequence[TemplateFile], names: Sequence[str]) -> tuple[TemplateFile, ...]:
    """The templates of these names, all if none is given. Raises ``InputError``."""
    known = {file.name: file for file in files}
    wanted = [name if name.endswith(ENDING) else name + ENDING for name in names]
    for name in wanted:
        if name not in known:
            raise InputError(f"there is no template {name}", remedy=suggestion(name, known))
    return tuple(known[name] for name in wanted) if names else tuple(files)


def difference(file: TemplateFile) -> str:
    """How the workspace's template differs from the packaged one, as a unified diff; "" if not."""
    if file.own is None or file.packaged is None:
        return ""
    return "".join(
        line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n"
        for line in difflib.unified_diff(
            read_text(file.packaged).splitlines(keepends=True),
            read_text(file.own).splitlines(keepends=True),
            f"packaged/{file.name}",
            f"prompts/{file.name}",
        )
    )


def eject(
    workspace: Workspace, files: Sequence[TemplateFile], *, style: str | None = None, force: bool
) -> Ejected:
    """Copies packaged templates into the workspace's ``prompts/``, below ``style`` if one is given.

    What is there and says the same is kept; what differs is refused before anything is written,
    unless ``force``. Raises ``InputErrors``.
    """
    if style is not None and (not style or PurePosixPath(style).name != style or style[0] == "."):
        raise InputError(f"{style!r} is no name of a style", remedy="give letters and digits")
    written: list[tuple[str, Path, str]] = []
    kept: list[str] = []
    errors: list[InputError] = []
    for file in files:
        if file.packaged is None:
            continue
        name = f"{style}/{PurePosixPath(file.name).name}" if style else file.name
        path, text = workspace.prompts_folder / name, read_text(file.packaged)
        shown = f"prompts/{name}"
        if not path.exists() or force:
            written.append((shown, path, text))
        elif read_text(path) == text:
            kept.append(shown)
        else:
            what = "it is there and differs from the packaged one"
            remedy = f"see `expand prompt diff {name}`; --force puts the packaged one in its place"
            errors.append(InputError(what, remedy=remedy, place=Place(path=shown)))
    if errors:
        raise InputErrors(errors)
    for _, path, text in written:
        write_atomically(path, text)
    return Ejected(written=tuple(shown for shown, _, _ in written), kept=tuple(kept))


def _found(folder: Path) -> dict[str, Path]:
    return {
        path.relative_to(folder).as_posix(): path
        for path in sorted(folder.rglob(f"*{ENDING}"))
        if path.is_file()
    }
