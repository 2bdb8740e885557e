"""Where a chapter's templates are looked for, and which file comes first. Nothing here renders.

The places, the most particular first:

1. ``prompts/chapters/<id>/``: this chapter's own
2. the house style's folder, the workspace's ``prompts/styles/<name>/`` before the packaged one
3. ``prompts/``: the book's own
4. the packaged templates

In each of them a file may be meant for a kind of model: ``brief/section.j2`` is for models whose
profile says ``style = "brief"``. For such a model it comes before every plain ``section.j2``, in
whatever place that stands: a small model cannot follow what was written for a large one.

A template that extends or includes its own name gets the next file in this order; any other name is
looked for from the top. ``book/NAME`` and ``shipped/NAME`` mean a file as the book has it (else the
packaged one) and the packaged one.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

from expand.errors import InputError
from expand.outline import Style
from expand.paths import require_inside
from expand.schema.validators import suggestion

Origin = Literal["chapter", "style", "book", "shipped"]

CHAPTERS, STYLES = "chapters", "styles"
"""Folders of ``prompts/`` that hold those of a chapter and of a house style, and no model's."""
PLAIN = "plain"
"""The house style that adds nothing, for a chapter of a book that has another."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TemplateFolder:
    """A folder that templates are looked for in, and whose it is."""

    origin: Origin
    folder: Path


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


class TemplateLookup:
    """The places for one chapter, as they are now; folders that do not exist are left out."""

    def __init__(
        self,
        folder: Path | None,
        *,
        model_style: str | None = None,
        house_style: str | None = None,
        chapter: str | None = None,
    ) -> None:
        packaged = packaged_folder()
        self._book = folder
        self._packaged = packaged
        self._model_style = model_style
        places: list[TemplateFolder] = []
        if folder is not None and chapter is not None:
            places.append(TemplateFolder(origin="chapter", folder=folder / CHAPTERS / chapter))
        if house_style is not None and house_style != PLAIN:
            places += [
                TemplateFolder(origin="style", folder=root / STYLES / house_style)
                for root in (folder, packaged)
                if root is not None
            ]
        self._book_is_packaged = folder is not None and folder.resolve() == packaged.resolve()
        if folder is not None and not self._book_is_packaged:
            places.append(TemplateFolder(origin="book", folder=folder))
        places.append(TemplateFolder(origin="shipped", folder=packaged))
        self.places = tuple(place for place in places if self.inside(place.folder).is_dir())
        self._candidates: dict[str, tuple[Path, ...]] = {}

    def candidates(self, name: str) -> tuple[Path, ...]:
        """The files that a name may mean, the first one first. A name that leads out is none.

        Looked up once: what a run says does not change under it."""
        if name not in self._candidates:
            self._candidates[name] = self._looked_up(name)
        return self._candidates[name]

    def _looked_up(self, name: str) -> tuple[Path, ...]:
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts or "\\" in name or ":" in name:
            return ()
        if path.parts[:1] == ("shipped",):
            return self._there([self._packaged.joinpath(*path.parts[1:])])
        if path.parts[:1] == ("book",):
            roots = [root for root in (self._book, self._packaged) if root is not None]
            return self._there([root.joinpath(*path.parts[1:]) for root in roots])
        names = ([f"{self._model_style}/{name}"] if self._model_style else []) + [name]
        return self._there([place.folder / name for name in names for place in self.places])

    def _there(self, paths: list[Path]) -> tuple[Path, ...]:
        return tuple(dict.fromkeys(path for path in paths if self.inside(path).is_file()))

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

    def are_packaged(self, paths: Iterable[Path]) -> bool:
        """Whether files are packaged ones, and not a book's own as well: in a checkout of the tool
        they are both."""
        return not self._book_is_packaged and all(path.is_relative_to(self._packaged) for path in paths)

    def origin(self, path: Path) -> Origin:
        """Whose a file is."""
        return next(place.origin for place in self.places if path.is_relative_to(place.folder))
