"""Read the code blocks of a text with what their authors say of them: in the info string, hidden lines, a comment.

What is read is what rustdoc, mdBook, MkDocs, Docusaurus and VitePress write: ``rust,no_run``, ``rust:src/lib.rs``,
``{.python title="a.py"}``, a first comment ``// src/lib.rs``, ``# `` before a line that rustdoc hides.
"""

import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from expand.markdown import blocks, matching
from expand.markdown.code import is_programming, language_named, rust_shown

FLAGS = frozenset(("ignore", "no_run", "should_panic", "compile_fail"))
_PLATFORMS = {"linux": ("linux", "unix"), "darwin": ("macos", "apple", "unix"), "win32": ("windows",)}
_PATH = r"(?:[\w.@-]+/)*[\w.@-]+\.[A-Za-z][\w+]{0,9}|(?:[\w.@-]+/)*(?:Dockerfile|Makefile)"
_NAMED = re.compile(rf"""(?x)
    (?:^|[\s,{{;:])(?:(?:title|file|filename|name|path|src)\s*[=:]\s*)?["']?(?P<path>(?:{_PATH}))["']?(?=$|[\s,}};])""")
_COMMENT = re.compile(r"\s*(?://[/!]?|\#|--|/\*|<!--|;|%)\s*(?P<said>.*?)\s*(?:\*/|-->)?\s*$")
_COMMENTED_PATH = re.compile(rf"(?i)(?:(?:file|filename|path|文件|文件名)\s*[:：]\s*)?`?(?P<path>{_PATH})`?")
_SHOWN = re.compile(rf"`?(?P<path>{_PATH})`?(?=\s*[-:：–—]|$)")
_CONTINUES = matching.phrase("continues-the-block")
_INCLUDE = re.compile(
    r"(?m)^[ \t]*(?:\{\{\s*#?(?P<whole>rustdoc_)?include\s+(?P<mdbook>[^\s}]+)\s*\}\}"
    r"|(?:-{1,2}8<-{1,2}|<<<)\s+[\"']?(?:@/)?(?P<other>[^\s\"'{]+)).*$"
)
ELISION = re.compile(r"(?m)^[ \t]*(?:\.{3}|…+|⋯)[ \t]*;?[ \t]*$|[({\[]\s*(?:\.{3}|…)\s*[)}\]]"
                     r"|^[ \t]*(?://|#|/\*)[ \t]*(?:-+ *snip *-+|\.{3}|…)")  # fmt: skip
"""Where an author has left something out, and says so: code that a compiler refuses may then be right."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CodeBlock:
    """A block of code. ``line`` is that of its fence in the section's text, from 1, and ``rows`` counts the lines that
    stand there; ``code`` is what a compiler is
    given: with hidden lines and included files. ``above`` is the code that it goes on from, and ``name`` its file, ""
    for none. ``skip`` says why nothing is to judge it, "" where something is."""

    section: int
    line: int
    rows: int
    language: str
    code: str
    name: str = ""
    flags: frozenset[str] = frozenset()
    edition: str = ""
    above: str = ""
    skip: str = ""

    @property
    def whole(self) -> str:
        """The code after that which it goes on from."""
        return self.above + self.code

    @property
    def lines_above(self) -> int:
        """The lines of ``whole`` that are another block's."""
        return self.above.count("\n")


def files_named(examples: Iterable[str]) -> tuple[str, ...]:
    """The files that a brief's words on a topic's examples begin with, such as ``src/lib.rs - the parser``."""
    return tuple(found["path"] for shown in examples if (found := _SHOWN.match(shown)))


def code_blocks(
    text: str,
    *,
    section: int,
    include: Callable[[str], str | None] | None = None,
    files: Mapping[str, Sequence[str]] = MappingProxyType({}),
) -> tuple[CodeBlock, ...]:
    """The code blocks of a section's text, in order. ``include`` gives the text of a file that a block includes, None
    where there is none. ``files`` are those that the brief wants, by the key of each topic's title: blocks of their
    language that name none themselves are these, in order."""
    headings = [(block.start, matching.title_key(block.title)) for block in blocks.headings(text)] if files else []
    wanted = {key: [*paths] for key, paths in files.items()}
    here = (*_PLATFORMS.get(sys.platform, ()), "x86_64", "64bit")
    ignored = {"ignore", *(f"ignore-{platform}" for platform in here)}  # rustdoc's words, also for a platform
    found: list[CodeBlock] = []
    last: dict[str, CodeBlock] = {}
    for fence in blocks.fences(text):
        if not is_programming(fence.language):
            continue
        language = language_named(fence.language)
        topic = next((key for start, key in reversed(headings) if start < fence.start and key in wanted), "")
        words = re.split(r"[\s,{}]+", fence.info)
        flags = {word.lower() for word in words}
        code, missing = _included(fence.code, include)
        first = next((row for row in code.splitlines() if row.strip() and not row.startswith("#!")), "")
        head = comment["said"] if (comment := _COMMENT.match(first)) else ""
        above = last.get(language) if {"continue", "continues", "continued"} & flags or _CONTINUES.match(head) else None
        block = CodeBlock(
            section=section,
            line=fence.start + 1,
            rows=fence.code.count("\n"),
            language=language,
            code=rust_shown(code) if language == "rust" else code,
            name=_name(fence.info, head) or _next_file(wanted.get(topic, []), language),
            flags=frozenset(flags & FLAGS | {word for word in words if re.fullmatch(r"E\d{4}", word)}),
            edition=next((word[7:] for word in flags if re.fullmatch(r"edition20\d\d", word)), ""),
            above=above.whole.rstrip("\n") + "\n" if above else "",
            skip="marked ignore" if flags & ignored else missing,
        )
        found.append(block)
        last[language] = block
    return tuple(found)


def _name(info: str, head: str) -> str:
    """The file that a block is said to be: a path below the folder that its readers have, never one out of it."""
    _, _, rest = info.lstrip("{. ").partition(re.split(r"[\s,:}]", info.lstrip("{. "))[0])
    found = _NAMED.search(rest) or _COMMENTED_PATH.fullmatch(head)
    path = found["path"] if found else ""
    return "" if any(part.startswith(".") for part in path.split("/")) else path


def _next_file(paths: list[str], language: str) -> str:
    """Take the first of the files that is in a language, "" where none is."""
    of_language = (path for path in paths if language_named(path.rpartition(".")[2]) == language)
    if path := next(of_language, ""):
        paths.remove(path)
    return path


def _included(code: str, include: Callable[[str], str | None] | None) -> tuple[str, str]:
    """The code with the files that it includes, and why one of them could not be had, "" where all could."""
    missing = ""

    def text(found: re.Match[str]) -> str:
        nonlocal missing
        path, _, part = (found["mdbook"] or found["other"]).replace("#", ":").partition(":")
        read = include(path) if include else None
        if read is None:
            missing = f"it includes {path}, which is not there"
            return ""
        # rustdoc_include shows a part and compiles the file; so is a part that is all of its block.
        if found["whole"] or not part or found[0].strip() == code.strip():
            return read.rstrip("\n")
        missing = f"it shows a part of {path}"
        return ""

    return _INCLUDE.sub(text, code), missing
