"""Tell where the brackets of code in a brace language do not match, without a grammar of the language.

Strings, characters, comments and regular expressions are left out. An excerpt that begins with a closing bracket comes
from the middle of a file, one that begins with a tag is markup, and neither is judged; neither is an end that the
author marks with an ellipsis.
"""

import re

_PAIRS = {")": "(", "]": "[", "}": "{"}
_LANGUAGES = frozenset(
    {"javascript", "js", "mjs", "typescript", "ts", "go", "c", "h", "cpp", "c++", "cc", "hpp", "java", "kotlin", "kt"}
    | {"csharp", "cs"}
)
_BACKTICKS = frozenset({"javascript", "js", "mjs", "typescript", "ts", "go"})
_SCRIPTS = _BACKTICKS - {"go"}
_PREPROCESSED = frozenset({"c", "h", "cpp", "c++", "cc", "hpp", "csharp", "cs"})
_TOKEN = re.compile(
    r"""(?P<comment>//[^\n]*|/\*.*?(?:\*/|\Z))
    | (?P<block>\"{3}.*?(?:\"{3}|\Z))
    | (?P<string>(?<![\w])'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*")
    | (?P<tick>`(?:\\.|[^`\\])*(?:`|\Z))
    | (?P<slash>/(?![/*=])(?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^/\\\n\[])+/)
    | (?P<macro>^[ \t]*\#(?:\\\n|[^\n])*)
    | (?P<bracket>[()\[\]{}])
    | (?P<other>[^\s\w]|\w+)""",
    re.VERBOSE | re.DOTALL | re.MULTILINE,
)
_BEFORE_REGEX = frozenset("(,=:[!&|?{};+") | {"", "return", "typeof", "case"}
_ELISION = re.compile(r"\s*(?:(?://|#|/\*)\s*)?(?:\.{3}|…|⋯)")


def mismatch(language: str, code: str) -> tuple[int, str] | None:
    """The line (from 0) at which brackets do not match, and what is wrong; None where they do or cannot be judged."""
    if language not in _LANGUAGES or re.match(r"\s*[)\]}<]", code):
        return None
    open_ones: list[tuple[str, int]] = []
    line, at, before = 0, 0, ""
    while found := _TOKEN.search(code, at):
        line += code.count("\n", at, found.start())
        kind, token = found.lastgroup, found[0]
        end = found.end()
        if (
            (kind == "tick" and language not in _BACKTICKS)
            or (kind == "slash" and not (language in _SCRIPTS and before in _BEFORE_REGEX))
            or (kind == "macro" and language not in _PREPROCESSED)
        ):
            end, token = found.start() + 1, token[:1]
        elif kind == "bracket" and token in _PAIRS:
            if not open_ones:
                return line, f"{token} closes nothing"
            opening, opened = open_ones.pop()
            if opening != _PAIRS[token]:
                return line, f"{token} stands where the {opening} of line {opened + 1} is to be closed"
        elif kind == "bracket":
            open_ones.append((token, line))
        if kind != "comment":
            before = token
        line += code.count("\n", found.start(), end)
        at = end
    last = code.rstrip().rpartition("\n")[2]
    if not open_ones or _ELISION.match(last):
        return None
    opening, opened = open_ones[-1]
    return code.rstrip().count("\n"), f"it ends before the {opening} of line {opened + 1} is closed"
