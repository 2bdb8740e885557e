"""Whether a block of code parses, judged as the excerpt that it may be.

Grammars are installed packages: nothing is downloaded. A block that is only a part (a function body, a method, the
fields of a struct, a few keys) is put where it could stand before it is called broken; shell and Python sessions are
read as sessions. Other brace languages are judged by their brackets, and Mermaid by rules.
"""

from __future__ import annotations

import ast
import importlib
import re
import textwrap
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from expand.markdown.blocks import bare_rows
from expand.paths import packaged_table

if TYPE_CHECKING:
    from tree_sitter import Node, Parser

_TABLE = packaged_table("checkers")
_NAMES: Mapping[str, str] = {name: language for language, names in _TABLE["names"].items() for name in names.split()}
_NO_CODE = frozenset(("", *_TABLE["no-code"].split()))
_GRAMMARS = {"zsh": "bash", "jsonc": "json", "json5": "json"}
"""Languages that are read by the grammar of another one."""
_DOCTESTS = re.compile(r"(?m)^\s*(?:>>>|In \[\d+\]:)")
_PROMPT = re.compile(
    r"\s*(?:\([\w.-]+\)\s*)?(?:[\w.@~/:-]*[$%❯➜]\s+|>\s|[\w.-]+@[\w.-]+[:~\]].*[#$]\s|\[[^\]\n]*\][#$]\s)"
)
_TREE = re.compile(r"\s*(?:[|`+\\]--|\|\s+[|`+]--|[├└│])")
_DOCTEST = re.compile(r"\s*(?:>>>|\.\.\.|In \[\d+\]:)(?: (.*))?$")
_REPORT = re.compile(
    r"(?m)^\s*(?:(?:error|warning|note)(?:\[\w+\])?:|-->\s|\d*\s*\|\s|=\s(?:note|help):|(?:Compiling|Finished)\s)"
)
"""A line of a compiler's report."""
_BEYOND_ASCII = re.compile(r"[^\x00-\x7f]")
_ELISION = r"(?:\.\.\.|…|⋯)"

MOST_CHARACTERS = 16_000
"""A longer block, some 400 lines, is not judged: where a text is none of its language, the time that the grammars take
grows with its square, and each of the readings takes it."""


class _Reading(NamedTuple):
    """One reading of a block: code with what was put around it; ``shift`` lines were put before."""

    code: str
    shift: int = 0


@lru_cache(maxsize=8)
def _parser(grammar: str) -> Parser:
    # Imported here because commands that check no code must start without it.
    from tree_sitter import Language, Parser

    return Parser(Language(importlib.import_module(f"tree_sitter_{grammar}").language()))


HASH_COMMENTS, _DASH_COMMENTS, _BRACE_LANGUAGES = (
    frozenset(_TABLE[name].split()) for name in ("hash-comments", "dash-comments", "braces")
)
"""The languages in which ``#`` begins a comment, those in which ``--`` does, and those whose brackets are matched."""


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


@lru_cache(maxsize=1024)
def broken_code(language: str, code: str) -> int | None:
    """The line (from 0) of the first syntax error; None when the code is fine or not checkable.

    Checked are Rust, Python, shell, TOML, JSON and YAML, up to ``MOST_CHARACTERS``. Of several readings the one that
    gets furthest names the line."""
    language = language_named(language)
    grammar = _GRAMMARS.get(language, language)
    if grammar not in _READINGS or not code.strip() or len(code) > MOST_CHARACTERS:
        return None
    if language in ("jsonc", "json5"):
        code = re.sub(r",(\s*[\]}])", r"\1", code)
    last = code.rstrip().count("\n")
    furthest: int | None = None
    for reading in _READINGS[grammar](code):
        error = _first_error(grammar, reading)
        if error is None:
            return None
        furthest = max(furthest or 0, min(max(error - reading.shift, 0), last))
    return furthest


def has_statements(code: str) -> bool:
    """Whether Rust code has what can stand in a function only: ``let``, expressions."""
    return any(
        child.type in ("let_declaration", "expression_statement", "ERROR") or child.type.endswith("expression")
        for child in _parser("rust").parse(code.encode("utf-8", "replace")).root_node.children
    )


def rust_shown(code: str) -> str:
    """Rust as rustdoc compiles it: hidden lines begin with ``# ``, and ``##`` stands for one that begins with ``#``."""
    code = re.sub(r"(?m)^([ \t]*)#[ \t]*$", r"\1", re.sub(r"(?m)^([ \t]*)# ", r"\1", code))
    return re.sub(r"(?m)^([ \t]*)##", r"\1#", code)


def python_session(code: str) -> str:
    """Python as a program: of a session what was typed, and nothing of a notebook's ``%`` and ``!`` lines."""
    if _DOCTESTS.search(code):
        code = _session(code, hanging=False)
    return textwrap.dedent(re.sub(r"(?m)^([ \t]*)[%!?]+[A-Za-z].*$", r"\1pass", code))


def _first_error(grammar: str, reading: _Reading) -> int | None:
    code = reading.code
    if grammar == "bash":
        # The scanner of tree-sitter-bash 0.25 calls C's isalpha() with code points beyond its table and may crash the
        # process. Words of any script are words to a shell, so a letter in their place changes nothing that is judged.
        code = _BEYOND_ASCII.sub("x", code)
    root = _parser(grammar).parse(code.encode("utf-8", "replace")).root_node
    if root.has_error:
        broken: Node | None = root
        while broken is not None and not (broken.is_error or broken.is_missing):
            root = broken  # where nothing below is broken, the grammar gave up without saying where
            broken = next((child for child in root.children if child.has_error), None)
        return (broken or root).start_point[0]
    if grammar == "python":
        return _layout_error(code)
    if not reading.shift:
        return None
    # "} fn b() {" inside "fn f() { … }" would make two functions: it is no part of one.
    first = reading.code[: reading.code.index("\n")]
    column = max(first.rfind(bracket) for bracket in "({[")
    around = root.named_descendant_for_point_range((0, column), (0, column + 1))
    whole = around is not None and around.end_point[0] == reading.code.rstrip().count("\n")
    return None if whole else 0


def _layout_error(code: str) -> int | None:
    """The line of Python at which indentation is wrong, or a body or ``except`` is missing: the grammar lets that pass.
    What else Python's own parser refuses may be right in another version."""
    try:
        with warnings.catch_warnings(action="ignore"):
            ast.parse(code)
    except SyntaxError as error:
        if opening := re.search(r"(?<=on line )\d+", error.msg):
            return int(opening[0]) - 1
        if error.msg.startswith("expected 'except'"):
            return max(n for n, row in enumerate(bare_rows(code)[: error.lineno]) if row.lstrip().startswith("try"))
        return (error.lineno or 1) - 1 if isinstance(error, IndentationError) else None
    except (ValueError, RecursionError, MemoryError):
        pass
    return None


def _elided(code: str, word: str = "__") -> str:
    """The code with ``...`` filled in: nothing for a line of it alone, ``word`` elsewhere."""
    code = re.sub(rf"(?m)^[ \t]*(?:{_ELISION}|//\s*<?--\s*snip.*|--+\s*(?:snip|省略).*)[ \t]*;?[ \t]*$", "", code)
    code = re.sub(r"/\*\s*\.\.\.?\s*\*/", word, code)
    code = re.sub(rf"(?<=[({{\[])\s*{_ELISION}\s*(?=[)}}\]])", "", code)
    return re.sub(rf"(?<![.\w]){_ELISION}(?!\.)", word, code)


_RUST_CONTEXTS = (
    ("fn f() {", "}"),
    ("impl T {", "}"),
    ("struct S {", "}"),
    ("enum E {", "}"),
    ("fn f() { match x {", "} }"),
    ("fn f() { let x = S {", "}; }"),
    ("fn f() { let x =", "; }"),
    ("fn f() { x", "; }"),
    ("trait T {", "{} }"),
    ("fn f()", "{}"),
    ("macro_rules! m {", "}"),
)
"""Where a part of a Rust file could stand: statements, methods, fields, variants, arms, values, an
expression, the rest of a chain of calls, signatures, where clauses."""

_RUST_NEWER = (
    (r"\bsafe(?=\s+(?:fn|static)\b)", ""),
    (r"(?<=[{,])(\s*)\.\.(?=\s*\})", r"\1"),
    (r"(?<=[{,])(\s*)\d+(?=\s*:(?!:))", r"\1__"),
)
"""What rustc takes and the grammar does not know, and what stands for it: items of foreign blocks, ``S { a, .. } = b``,
``S { 0: a }``."""


def _rust(code: str) -> Iterator[_Reading]:
    if re.fullmatch(r"[\s)\]},;]+", code):
        return  # the end of something
    shown = rust_shown(code)
    known = shown
    for newer, older in _RUST_NEWER:
        known = re.sub(newer, older, known)
    for text in dict.fromkeys((code, shown, _elided(known))):
        yield _Reading(text)
        for before, after in _RUST_CONTEXTS:
            yield _Reading(f"{before}\n{text}\n{after}", 1)


def _session(code: str, *, hanging: bool) -> str:
    """What was typed in a Python session; ``hanging`` takes in lines that only are indented."""
    kept = []
    for row in bare_rows(code):
        found = _DOCTEST.match(row)
        typed = hanging and row[:1] in (" ", "\t", ")", "]", "}")
        kept.append((found.group(1) or "") if found else row if typed else "")
    return "\n".join(kept)


_PYTHON_LEFT_OPEN = re.compile(r":[ \t]*#.*\s*\Z|\A(?:@.*\n)*(?:async )?(?:def|class) .*:\s*\Z")
"""A comment in the place of a body, or nothing but the head of a function or class."""


def _python(code: str) -> Iterator[_Reading]:
    texts = [python_session(code)]
    if _DOCTESTS.search(code):
        texts.append(textwrap.dedent(_session(code, hanging=True)))
    for text in dict.fromkeys(read for one in texts for read in (one, _elided(one))):
        yield _Reading(text)
        yield _Reading(f"f(\n{text}\n)", 1)
        yield _Reading(f"{{\n{text}\n}}", 1)
        if text[:1] in (" ", "\t"):
            yield _Reading(f"if x:\n{text}", 1)
        if clause := re.match(r"\s*(elif|else|except|finally)\b", text):
            yield _Reading(("try:\n    x\n" if clause[1] in ("except", "finally") else "if x:\n    x\n") + text, 2)
        if _PYTHON_LEFT_OPEN.search(text):
            yield _Reading(text.rstrip() + "\n    pass\n")


def _bash(code: str) -> Iterator[_Reading]:
    if any(_PROMPT.match(row) or _TREE.match(row) for row in bare_rows(code)):
        return  # a session (commands and what they print), or a drawing of folders
    if _REPORT.search(code):
        return
    yield _Reading(code if code.endswith("\n") else code + "\n")
    # <name> stands for what the reader fills in, and so do ... and [options]
    filled = re.sub(r"<[A-Za-z][^<>\n|&;]{0,60}>", "__", code)
    filled = re.sub(r"\[[^\[\]\n$\"']*\]", "__", filled)
    yield _Reading(_elided(filled) + "\n")


def _json(code: str) -> Iterator[_Reading]:
    if code.rstrip().endswith(("...", "…")):
        return  # cut short, and it says so
    without = re.sub(rf"(?m)^[ \t]*(?://|#)?[ \t]*{_ELISION}.*$", "", code)
    without = re.sub(rf"(?<=[\[{{,])\s*{_ELISION}\s*(?=[\]}}])", "", without)
    without = re.sub(rf"(?<=[:\[,])\s*{_ELISION}\s*(?=[,}}\n])", " null", without)
    plain = re.sub(r",(\s*[\]}])", r"\1", without) if without != code else code
    for text in dict.fromkeys((code, without, plain)):
        yield _Reading(text)
        yield _Reading(f"{{\n{text.rstrip().rstrip(',')}\n}}", 1)
        yield _Reading(f"[\n{text.rstrip().rstrip(',')}\n]", 1)


def _yaml(code: str) -> Iterator[_Reading]:
    flat = textwrap.dedent(code)
    elided = re.sub(rf"(?m)^[ \t]*(?:- )?{_ELISION}[ \t]*$", "", flat)
    yield _Reading(flat + "\n")
    yield _Reading(re.sub(r"\{\{.*?\}\}|\{%.*?%\}", "__", elided) + "\n")


_READINGS: dict[str, Callable[[str], Iterator[_Reading]]] = {
    "rust": _rust,
    "python": _python,
    "bash": _bash,
    "toml": lambda code: map(_Reading, (code + "\n", _elided(code, '"__"') + "\n")),
    "json": _json,
    "yaml": _yaml,
}


# --- brackets of brace languages -------------------------------------------------------------------------
#
# Pygments tells them from those in strings, comments and regular expressions. An excerpt that begins with a closing
# bracket comes from the middle of a file, one that begins with a tag is markup, and neither is judged.

_PAIRS = {")": "(", "]": "[", "}": "{", "end": "block"}
_NO_CODE_AT_ALL = re.compile(r".{2000}|(?:[\w.]++\s++){500}")
"""So long a line, or so many words without a mark between them: Pygments takes a minute for some thousands of them."""


def bracket_mismatch(language: str, code: str) -> tuple[int, str] | None:
    """The line (from 0) at which brackets do not match, and what is wrong; None where they do or cannot be judged."""
    language = language_named(language)
    if language not in _BRACE_LANGUAGES or re.match(r"\s*(?:[)\]}]|<(?!\?php))", code) or _NO_CODE_AT_ALL.search(code):
        return None
    rows = [(number, row) for number, row in enumerate(code.split("\n")) if row.strip()]
    code = "".join(f"{row}\n" for _, row in rows)  # many blank lines take Pygments a minute, too
    from pygments.lexers import get_lexer_by_name  # 20 ms, and few blocks are in such a language
    from pygments.token import Comment, Literal

    marks = []
    at_row = counted = 0
    for at, kind, token in get_lexer_by_name(language, startinline="<?" not in code).get_tokens_unprocessed(code):
        for found in re.finditer(r"[()\[\]{}]", token if kind not in Comment and kind not in Literal else ""):
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


# --- Mermaid ------------------------------------------------------------------------------------------------
#
# Judged are the kind of the diagram, brackets and arrows of flowcharts, messages of sequence diagrams, and blocks that
# are not ended. What else the notations hold is left alone.

_KIND = re.compile(
    r"(graph|flowchart|sequenceDiagram|classDiagram|stateDiagram|erDiagram|gantt|pie|journey|gitGraph|mindmap|timeline|"
    r"quadrantChart|requirementDiagram|C4\w+|sankey|xychart|block|packet|kanban|architecture|zenuml|radar|treemap|info)"
    r"(?:-v2|-beta|-elk)?(?![\w-])[ \t:;]*(.*)"
)
_DIRECTION = re.compile(r"(?:TB|TD|BT|RL|LR|[<>^v])?\s*(?:;.*)?")
_QUOTED = re.compile(r"\"[^\"]*\"|`[^`]*`")
_EDGE = re.compile(r"(?:--+>|==+>|-\.+->|---+|\s--\s)\s*$|^(?:--+>|==+>)")
_MESSAGE = re.compile(r"^[^:]*?\S\s*(?:<<)?--?(?:>>|>|\)|x)\s*[+-]?\s*\S")
_NO_MESSAGE = re.compile(
    r"(?i)(?:participant|actor|note|(?:de)?activate|title|links?|create|destroy|and|else|option)\b"
)
_NO_NODE = re.compile(r"(?:style|classDef|class|click|linkStyle|direction|accTitle|accDescr)\b")
_OPENS = {
    "flowchart": re.compile(r"subgraph\b"),
    "sequenceDiagram": re.compile(r"(?:loop|alt|opt|par|critical|break|rect|box)\b"),
}


def broken_diagram(code: str) -> tuple[int, str] | None:
    """The line (from 0) of the first mistake and what it is; None where there is none."""
    code = re.sub(r"(?ms)\A\s*---[ \t]*$.*?^[ \t]*---[ \t]*$", lambda front: "\n" * front[0].count("\n"), code)
    rows = [(number, text) for number, row in enumerate(bare_rows(code)) if (text := row.partition("%%")[0].strip())]
    if not rows:
        return 0, "there is no diagram"
    named = _KIND.match(rows[0][1])
    if named is None:
        return rows[0][0], "this is no kind of diagram"
    kind = "flowchart" if named[1] == "graph" else named[1]
    if kind == "flowchart" and not _DIRECTION.fullmatch(named[2]):
        return rows[0][0], "this is no direction"
    blocks: list[tuple[int, str]] = []
    wrong: tuple[int, str] | None = None
    for number, text in rows[1:]:
        plain = _QUOTED.sub("q", text).rstrip(";")
        if kind in _OPENS and (text == "end" or _OPENS[kind].match(text)):
            blocks.append((number, "end" if text == "end" else "block"))
        elif kind in ("classDiagram", "stateDiagram", "erDiagram"):
            plain = re.sub(r"[|}o]{1,2}(?:--|\.\.)[|{o]{1,2}", "", plain.partition(":")[0])
            blocks += [(number, brace) for brace in re.findall("[{}]", plain)]
        elif kind == "sequenceDiagram" and ":" not in plain and _MESSAGE.match(plain) and not _NO_MESSAGE.match(plain):
            wrong = number, "the message has no colon and text"
        elif kind == "flowchart" and not _NO_NODE.match(plain):
            brackets = re.findall(r"[()\[\]{}]", re.sub(r"\|[^|]*\||\w>[^\]]*\]", " ", plain))
            wrong = _unmatched([(number, bracket) for bracket in brackets], number)
            if _EDGE.search(plain):
                wrong = number, "an arrow leads nowhere"
        if wrong:
            return wrong
    return _unmatched(blocks, rows[-1][0])
