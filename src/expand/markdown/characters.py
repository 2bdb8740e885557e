"""Characters that a Markdown file must not hold: controls, and what hides or turns round the text that readers see."""

import re
import unicodedata

_CONTROLS = "\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f"
_BIDI = "\u202a-\u202e\u2066-\u2069"
_NONCHARACTERS = "\ufdd0-\ufdef\ufffe\uffff" + "".join(
    chr((plane << 16) + 0xFFFE) + "-" + chr((plane << 16) + 0xFFFF) for plane in range(1, 17)
)
# Line ends to Unicode and to many editors, none to Markdown: the lines of a draft would be other ones here and there.
_LINE_ENDS = "\x85\u2028\u2029"
FORBIDDEN = re.compile(f"[{_CONTROLS}{_BIDI}\ufeff\ud800-\udfff{_NONCHARACTERS}{_LINE_ENDS}]")
"""A character that must not stand in a draft. Joiners, variation selectors and the marks U+200E, U+200F are not among
them: Persian, emoji and mixed scripts are written with them."""
HARMFUL = re.compile(f"[{_CONTROLS}{_BIDI}\ud800-\udfff]")
"""Those of them that break tools (NUL, ESC) or make the text look other than it is."""
_TERMINAL_SEQUENCE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b\n]*(?:\x07|\x1b\\))")


def without_forbidden(text: str) -> str:
    """The text without forbidden characters. A terminal's sequence goes whole; a foreign line end becomes a newline."""
    if FORBIDDEN.search(text) is None:
        return text
    text = _TERMINAL_SEQUENCE.sub("", text)
    return FORBIDDEN.sub(lambda found: "\n" if found[0] in _LINE_ENDS else "", text)


def name_of(character: str) -> str:
    """What a character is called: ``U+202E RIGHT-TO-LEFT OVERRIDE``, ``U+0000 control character``."""
    code = ord(character)
    other = {"Cc": "control character", "Cs": "lone surrogate"}.get(unicodedata.category(character), "noncharacter")
    return f"U+{code:04X} {unicodedata.name(character, other)}"
