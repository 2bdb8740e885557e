"""Whether a block of code is whole, judged without a toolchain as the excerpt that it may be.

Python is read by Python's own parser. A block that is only a part (arguments, entries, the rest of an ``if``) is put
where it could stand before it is called broken; sessions are not judged. Of languages with brackets, Mermaid among
them, the brackets are matched.
"""

import ast
import re
import textwrap
import warnings
from collections.abc import Iterable, Mapping

from expand.markdown.blocks import bare_rows
from expand.paths import packaged_table

_TABLE = packaged_table("checkers")
_NAMES: Mapping[str, str] = {name: language for language, names in _TABLE["names"].items() for name in names.split()}
_NO_CODE = frozenset(("", *_TABLE["no-code"].split()))
HASH_COMMENTS, _DASH_COMMENTS, _BRACKETED = (
    frozenset(_TABLE[name].split()) for name in ("hash-comments", "dash-comments", "brackets")
)
"""The languages in which ``#`` begins a comment, those in which ``--`` does, and those whose brackets are matched."""
_DOCTESTS = re.compile(r"(?m)^\s*(?:>>>|In \[\d+\]:)")
_DOCTEST = re.compile(r"\s*(?:>>>|\.\.\.|In \[\d+\]:)(?: (.*))?$")


def language_named(name: str) -> str:
    """The language of a name that stands in an info string: "rust" of "rs"."""
    return _NAMES.get(name.lower(), name.lower())


def is_programming(language: str) -> bool:
    """Whether a block of this language is code, not text or output."""
    return language not in _NO_CODE


def is_comment(row: str, language: str) -> bool:
    """Whether a line of code is nothing but a comment."""
    marks = ("#",) if language in HASH_COMMENTS else ("--",) if language in _DASH_COMMENTS else ("//", "/*", "*/", "* ")
    return row.strip() == "*" or row.lstrip().startswith((*marks, "<!--"))


def fault(language: str, code: str) -> tuple[int, str] | None:
    """The line (from 0) of the first mistake in a block, and what it is, "" where that is not known; None where there
    is none, or where nothing here can judge it."""
    language = language_named(language)
    if language == "python" and not _DOCTESTS.search(code):
        return _python_fault(python_session(code))
    if language == "mermaid":
        return _broken_diagram(code)
    return _bracket_mismatch(language, code) if language in _BRACKETED else None


# --- what toolchains are given


def rust_shown(code: str) -> str:
    """Rust as rustdoc compiles it: hidden lines begin with ``# ``, and ``##`` stands for one that begins with ``#``."""
    code = re.sub(r"(?m)^([ \t]*)#[ \t]*$", r"\1", re.sub(r"(?m)^([ \t]*)# ", r"\1", code))
    return re.sub(r"(?m)^([ \t]*)##", r"\1#", code)


def python_session(code: str) -> str:
    """Python as a program: of a session what was typed, and nothing of a notebook's ``%`` and ``!`` lines."""
    if _DOCTESTS.search(code):
        typed = map(_DOCTEST.match, bare_rows(code))
        code = "\n".join((found[1] or "") if found else "" for found in typed)
    return textwrap.dedent(re.sub(r"(?m)^([ \t]*)[%!?]+[A-Za-z].*$", r"\1pass", code))


# --- Python

_AROUND = (("", ""), ("f(\n", "\n)"), ("{\n", "\n}"), ("if x:\n", ""), ("if x:\n    x\n", ""), ("try:\n    x\n", ""))
"""Where a part of a program could stand: arguments, entries, an indented body, an ``else``, an ``except``."""
_LEFT_OPEN = re.compile(r":[ \t]*#.*\s*\Z|\A(?:@.*\n)*(?:async )?(?:def|class) .*:\s*\Z")
"""A comment in the place of a body, or nothing but the head of a function or class."""
_ELISION = re.compile(r"(?m)^[ \t]*(?:\.\.\.|…),?[ \t]*$")


def _python_fault(code: str) -> tuple[int, str] | None:
    """The line at which Python refuses the reading of the code that gets furthest."""
    if _LEFT_OPEN.search(code):
        code = code.rstrip() + "\n    pass\n"
    last = code.rstrip().count("\n")
    furthest = -1
    for text in dict.fromkeys((code, _ELISION.sub("", code))):
        for before, after in _AROUND:
            line = _refused(before + text + after)
            if line is None:
                return None
            furthest = max(furthest, min(line - before.count("\n"), last))
    return max(furthest, 0), ""


def _refused(code: str) -> int | None:
    """The line (from 0) at which Python's parser refuses a program; of a body that is missing, what it is to follow."""
    try:
        with warnings.catch_warnings(action="ignore"):
            ast.parse(code.replace("…", "..."))
    except SyntaxError as error:
        opening = re.search(r"(?<=on line )\d+", error.msg)
        return int(opening[0] if opening else error.lineno or 1) - 1
    except (ValueError, RecursionError, MemoryError):
        pass  # beyond what it can read
    return None


# --- brackets
#
# Pygments tells them from those in strings, comments and regular expressions. An excerpt that begins with a closing
# bracket comes from the middle of a file, one that begins with a tag is markup, and neither is judged.

_PAIRS = {")": "(", "]": "[", "}": "{", "end": "block"}
_BRACKET = re.compile(r"[()\[\]{}]")
_NO_CODE_AT_ALL = re.compile(r".{2000}|(?:[\w.]++\s++){500}")
"""So long a line, or so many words without a mark between them: Pygments takes a minute for some thousands of them."""


def _bracket_mismatch(language: str, code: str) -> tuple[int, str] | None:
    if re.match(r"\s*(?:[)\]}]|<(?!\?php))", code) or _NO_CODE_AT_ALL.search(code):
        return None
    rows = [(number, row) for number, row in enumerate(code.split("\n")) if row.strip()]
    code = "".join(f"{row}\n" for _, row in rows)  # many blank lines take Pygments a minute, too
    from pygments.lexers import get_lexer_by_name  # 20 ms, and few blocks are in such a language
    from pygments.token import Operator, Punctuation

    marks = []
    at_row = counted = 0
    for at, kind, token in get_lexer_by_name(language, startinline="<?" not in code).get_tokens_unprocessed(code):
        for found in _BRACKET.finditer(token if kind in Punctuation or kind in Operator else ""):
            place = at + found.start()
            at_row += code.count("\n", counted, place)  # from the last bracket: code of any length takes its time once
            counted = place
            marks.append((rows[at_row][0], found[0]))
    return _unmatched(marks, rows[-1][0] if rows else 0)


def _unmatched(marks: Iterable[tuple[int, str]], last: int) -> tuple[int, str] | None:
    """The first mark, given with its line, that closes another one than is open, or the ``last`` line where one is left
    open; and what is wrong."""
    opened: list[tuple[int, str]] = []
    for line, mark in marks:
        if mark not in _PAIRS:
            opened.append((line, mark))
        elif not opened:
            return line, f"{mark} closes nothing"
        elif (opening := opened.pop())[1] != _PAIRS[mark]:
            return line, f"{mark} stands where the {opening[1]} of line {opening[0] + 1} is to be closed"
    return (last, f"it ends before the {opened[-1][1]} of line {opened[-1][0] + 1} is closed") if opened else None


# --- Mermaid: the kind of the diagram, its brackets, blocks that are not ended, arrows and messages

_KIND = re.compile(
    r"(graph|flowchart|sequenceDiagram|classDiagram|stateDiagram|erDiagram|gantt|pie|journey|gitGraph|mindmap|timeline|"
    r"quadrantChart|requirementDiagram|C4\w+|sankey|xychart|block|packet|kanban|architecture|zenuml|radar|treemap|info)"
    r"(?:-v2|-beta|-elk)?(?![\w-])"
)
_OPENS = {"sequenceDiagram": re.compile(r"(?:loop|alt|opt|par|critical|break|rect|box)\b")} | dict.fromkeys(
    ("graph", "flowchart"), re.compile(r"subgraph\b")
)
_JUDGED = (*_OPENS, "classDiagram", "stateDiagram", "erDiagram")
_WORDS = re.compile(r"\"[^\"]*\"|`[^`]*`|[|}o]{1,2}(?:--|\.\.)[|{o]{1,2}|\|[^|]*\||\w>[^\]]*\]")
"""Texts, cardinalities and labels, in which brackets are none."""
_EDGE = re.compile(r"(?:--+>|==+>|-\.+->|---+|\s--\s)\s*;?$|^(?:--+>|==+>)")
_NO_NODE = re.compile(r"(?:style|classDef|class|click|linkStyle|direction|accTitle|accDescr)\b")
_MESSAGE = re.compile(r"^[^:]*?\S\s*(?:<<)?--?(?:>>|>|\)|x)\s*[+-]?\s*\S")
_NO_MESSAGE = re.compile(
    r"(?i)(?:participant|actor|note|(?:de)?activate|title|links?|create|destroy|and|else|option)\b"
)


def _broken_diagram(code: str) -> tuple[int, str] | None:
    code = re.sub(r"(?ms)\A\s*---[ \t]*$.*?^[ \t]*---[ \t]*$", lambda front: "\n" * front[0].count("\n"), code)
    rows = [(number, text) for number, row in enumerate(bare_rows(code)) if (text := row.partition("%%")[0].strip())]
    kind = _KIND.match(rows[0][1]) if rows else None
    if kind is None:
        return (rows[0][0], "this is no kind of diagram") if rows else (0, "there is no diagram")
    marks: list[tuple[int, str]] = []
    for number, text in rows[1:] if kind[1] in _JUDGED else ():
        if kind[1] in _OPENS and (text == "end" or _OPENS[kind[1]].match(text)):
            marks.append((number, "end" if text == "end" else "block"))
        else:
            said, is_flow = _WORDS.sub("q", text), kind[1] in ("graph", "flowchart")
            if is_flow and _EDGE.search(said) and not _NO_NODE.match(said):
                return number, "an arrow leads nowhere"
            if kind[1] != "sequenceDiagram":  # there an arrow may be -)
                said = said if is_flow else said.partition(":")[0]
                marks += [(number, bracket) for bracket in _BRACKET.findall(said)]
            elif ":" not in said and _MESSAGE.match(said) and not _NO_MESSAGE.match(said):
                return number, "the message has no colon and text"
    return _unmatched(marks, rows[-1][0])
