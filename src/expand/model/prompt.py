"""Templates to messages: what is said to the author model. No decisions are taken here.

Templates are Jinja2 files, rendered in a sandbox with every undefined name an error. A workspace's
``prompts/`` folder comes before the packaged defaults, and a style's folder (``prompts/<style>/``)
before both, file by file. The only module that imports jinja2.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path

import jinja2
from jinja2.sandbox import SandboxedEnvironment

from expand.completion import Message
from expand.errors import InputError, Place

TEMPLATES = ("system.j2", "section.j2", "continue.j2", "repair.j2", "length.j2")
"""Every template that a request is made from."""

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
    the sections are drafted side by side).
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


def packaged_folder() -> Path:
    """The packaged templates: inside the wheel, or at the top of a source checkout."""
    inside = Path(__file__).parents[1] / "prompts"
    return inside if inside.is_dir() else Path(__file__).parents[3] / "prompts"


class Prompts:
    """The templates of one workspace in one style."""

    def __init__(self, folder: Path | None, *, style: str | None = None) -> None:
        self.style = style
        self._fingerprint: str | None = None
        roots = [root for root in (folder, packaged_folder()) if root is not None]
        self._folders = [root / style for root in roots if style] + roots
        self._environment = SandboxedEnvironment(
            loader=jinja2.FileSystemLoader([str(folder) for folder in self._folders]),
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )

    def path(self, name: str) -> Path:
        """The file that ``name`` (such as ``section.j2``) is read from."""
        for folder in self._folders:
            if (folder / name).is_file():
                return folder / name
        raise InputError(
            f"there is no template {name}",
            remedy=f"add it to {self._folders[0]}",
            place=Place(path=self._folders[0] / name),
        )

    def fingerprint(self) -> str:
        """sha256 over the sources of all templates: changes when any of them does."""
        if self._fingerprint is None:
            digest = hashlib.sha256()
            for name in TEMPLATES:
                digest.update(name.encode() + b"\0" + self.path(name).read_bytes() + b"\0")
            self._fingerprint = digest.hexdigest()
        return self._fingerprint

    def system(self, context: ChapterContext) -> Message:
        """The first message, byte for byte the same for all requests of a chapter."""
        return Message(role="system", content=self._render("system.j2", context))

    def request(self, template: str, context: RequestContext) -> Message:
        """The last message: ``template`` is ``section.j2``, ``continue.j2`` or the like."""
        return Message(role="user", content=self._render(template, context))

    def _render(self, name: str, context: ChapterContext | RequestContext) -> str:
        values = {f.name: getattr(context, f.name) for f in fields(context)}
        try:
            return self._environment.get_template(name).render(values).strip()
        except jinja2.TemplateSyntaxError as error:
            place = Place(path=error.filename or self.path(name), line=error.lineno)
            raise InputError(
                f"template syntax: {error.message}", remedy="mend the template", place=place
            ) from error
        except jinja2.TemplateNotFound as error:
            raise InputError(
                f"the template includes {error.name}, which does not exist",
                remedy="add that file or remove the include",
                place=Place(path=self.path(name)),
            ) from error
        except (jinja2.TemplateError, TypeError, ValueError, ArithmeticError) as error:
            known = ", ".join(sorted(values))
            raise InputError(
                f"template: {error}",
                remedy=f"it may use: {known}",
                place=self._place(error, name),
            ) from error

    def _place(self, error: BaseException, name: str) -> Place:
        """Where a rendering error arose: jinja2 rewrites tracebacks to template lines. An error in
        an included template is that template's.
        """
        place = Place(path=self.path(name))
        trace = error.__traceback__
        while trace is not None:
            file = Path(trace.tb_frame.f_code.co_filename)
            if any(file.is_relative_to(folder) for folder in self._folders):
                place = Place(path=file, line=trace.tb_lineno)
            trace = trace.tb_next
        return place
