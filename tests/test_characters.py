"""Characters that a draft must not hold: found by the checks, taken off answers."""

from __future__ import annotations

from pathlib import Path

import pytest
from scripted_server import ScriptedServer
from workspaces import expand, small

from expand.checks import check_text
from expand.markdown.sanitize import FORBIDDEN, name_of, without_forbidden

BLOCKING = [
    "\x00",
    "\x01",
    "\x08",
    "\x0b",
    "\x0c",
    "\x0e",
    "\x1b",
    "\x1f",
    "\x7f",
    "\x80",
    "\x9b",
    "\u202a",
    "\u202e",
    "\u2066",
    "\u2069",
    "\ud800",
]
HARMLESS = ["\ufeff", "\ufffe", "\uffff", "\ufdd0", "\ufdef", "\U0001fffe", "\U0010ffff"]
LEGITIMATE = [
    "\t",
    "\n",
    "\r",
    " ",
    "~",
    "\xa0",
    "\u200b",
    "\u200c",
    "\u200d",
    "\u200e",
    "\u200f",
    "\u2027",
    "\u202f",
    "\u2065",
    "\u206a",
    "\ufe0f",
    "\ufffd",
    "\ufdf0",
    "\ue000",
    "\U0001f3f4",
]


@pytest.mark.parametrize("character", [*BLOCKING, *HARMLESS])
def test_a_forbidden_character_is_found_and_taken_out(character: str) -> None:
    text = f"A pi{character}pe.\n\nIt has two ends.{character}\n"
    assert without_forbidden(text) == "A pipe.\n\nIt has two ends.\n"
    (found,) = [one for one in check_text(text, section=2) if one.kind == "forbidden-character"]
    assert found.line == 1
    assert found.severity == ("blocking" if character in BLOCKING else "warning")
    assert found.message == f"the text holds {name_of(character)}, 2 times"
    assert character not in found.message


@pytest.mark.parametrize("character", LEGITIMATE)
def test_any_other_stays(character: str) -> None:
    assert FORBIDDEN.search(character) is None
    assert without_forbidden(f"A{character}b") == f"A{character}b"


def test_foreign_line_ends_become_lines_and_terminal_sequences_go_whole() -> None:
    assert without_forbidden("One.\u2028Two.\u2029Three.\x85Four.") == "One.\nTwo.\nThree.\nFour."
    assert (
        without_forbidden("A \x1b[1;31mred\x1b[0m word, \x1b]8;;http://a\x07link\x1b]8;;\x1b\\.") == "A red word, link."
    )
    assert without_forbidden("\x1b") == ""


def test_names() -> None:
    assert name_of("\x00") == "U+0000 control character"
    assert name_of("\u202e") == "U+202E RIGHT-TO-LEFT OVERRIDE"
    assert name_of("\ud800") == "U+D800 lone surrogate"
    assert name_of("\ufffe") == "U+FFFE noncharacter"


def test_review_finds_them_in_a_draft_that_was_edited(tmp_path: Path) -> None:
    place = small(tmp_path)
    with ScriptedServer() as server:
        assert expand(place, "chapter", "07", "--base-url", server.base_url).code == 0
    draft = place / "drafts" / "07.md"
    draft.write_text(draft.read_text().replace("## 2. ", "A \x00 and \u202e here.\n\n## 2. ", 1))
    ran = expand(place, "review", "07", "--format", "json")
    assert ran.code == 5
    assert ran.out.count('"forbidden-character"') == 2
    assert expand(place, "accept", "07").code == 5
