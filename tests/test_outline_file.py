"""Outlines and the book: what is read, and every way in which a file can be wrong."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from expand.doctor.outline_check import lint
from expand.errors import InputError, InputErrors
from expand.outline import Allowance, Outline, Quality, Text
from expand.outline.reading import BOOK, OUTLINE, read_book, read_outline
from expand.schema import input_file
from expand.schema.input_file import parse_yaml

BROKEN = Path(__file__).parent / "broken_outlines"
HEAD = "id: 03\ntitle: Performance\nsource: chapters/03.md\n"
SECTIONS = "sections:\n  - title: Basics\n    lines: 100\n"

# File, position, and what the message says there: all problems of the file, in its order.
PROBLEMS: dict[str, list[tuple[str, str]]] = {
    "a_list": [("1:1", "the file is a list; give keys and values; known are: id, title")],
    "allowance_wrong": [
        ("4:21", "allowance: tokens is 0; give a whole number from 1 to"),
        ("4:29", "allowance: usd is 0.0000000000001; give at most 12 decimals"),
        ("4:46", 'allowance: unknown key "eur"; known are: tokens, usd'),
    ],
    "anchor_and_alias": [
        ("5:5", "the anchor &basics; remove it"),
        ("8:5", "the alias *basics; aliases are not followed; write the text out"),
    ],
    "bad_utf8": [
        ("4:14", "byte 0xe9 is not UTF-8; save the file as UTF-8"),
        ("8:11", "byte 0xff is not UTF-8"),
        ("9:5", 'section 1: unknown key "lins"; did you mean "lines"?'),
    ],
    "colon_in_text": [("2:19", "a colon inside a plain text, or a key in the wrong column; put")],
    "control_characters": [
        ("4:12", "the control character U+0000; remove it"),
        ("8:11", "a control character; remove its escape"),
    ],
    "dash_out_of_line": [("7:2", "the indentation does not fit; line the keys")],
    "duplicate_key": [
        ("4:1", 'the key "title" appears twice, first in line 2; remove one'),
        ("8:5", 'the key "lines" appears twice, first in line 7; remove one'),
    ],
    "duplicate_titles": [
        ("9:12", "section 3 repeats the title of section 1; change or remove one of them"),
        ("12:12", "section 4 repeats the title of section 2"),
    ],
    "duplicate_topics": [
        ("10:9", "section 1: topic 3 repeats topic 1; change or remove"),
        ("11:9", "section 1: topic 4 repeats topic 2"),
    ],
    "empty": [("1:1", "the file is empty; give keys and values")],
    "empty_mappings": [
        ("4:10", "quality is an empty mapping; give keys and values; known are: code_examples, code_language"),
        ("5:11", "glossary is an empty mapping; give at least one term"),
    ],
    "everything_at_once": [
        ("1:5", 'id is "04", but the file is called everything_at_once.yaml; write "03"'),
        ("2:8", "title is an empty text; give a text on one line"),
        ("3:9", 'source "../03.md" leaves the workspace; give a path inside it'),
        ("4:1", 'unknown key "prio"; did you mean "priority"?'),
        ("5:8", "hours is -1; give a number from 0 to 100,000"),
        ("8:12", "section 1: lines is 0; give a whole number from 1 to 20,000"),
        ("9:5", 'section 2: the key "lines" is missing; add lines: 150'),
        ("9:12", "section 2 repeats the title of section 1"),
        ("10:17", "section 2: topic 2 repeats topic 1"),
    ],
    "id_ends_in_a_line_feed": [("1:5", "id holds a space; give letters and digits")],
    "id_hidden": [("1:5", 'id begins with "."; give letters and digits')],
    "id_is_a_path": [("1:5", 'id holds "/"; give letters and digits')],
    "id_is_an_emoji": [("1:5", 'id holds "🦀"')],
    "id_of_another_chapter": [("1:5", 'id is "04", but the file is called id_of_another')],
    "key_is_a_list": [("4:3", "a key is a list or a mapping; keys are plain words")],
    "key_without_colon": [("6:5", "a key without its colon; write key: value")],
    "keys_of_digits": [
        ("7:25", 'section 1: topic 1: the language is the text "9007199254740993"; give a language code such as en'),
        ("7:41", "section 1: topic 1: 9007199254740993 is empty; give a text on one line"),
        ("7:57", 'section 1: topic 2: the language is the text "5"'),
    ],
    "language_codes": [
        ("2:9", 'title: the language is the text "English"; give a language code such as en'),
        ("2:31", 'title: the language is the text "中文"'),
    ],
    "lines_astronomical": [
        ("4:15", "target_lines is 1e99999999999; give a whole number from 1 to 1,000,000"),
        ("7:12", "section 1: lines is 99999999999"),
    ],
    "lines_missing": [("5:5", 'section 1: the key "lines" is missing; add lines: 150')],
    "lines_negative": [("6:12", "section 1: lines is -150; give a whole number from 1 to 20,000")],
    "lines_not_whole": [
        ("6:12", "section 1: lines is 12.5; give a whole number"),
        ("8:12", "section 2: lines is .inf"),
        ("10:12", 'section 3: lines is the text "1_000"; give a whole number'),
        ("12:12", 'section 4: lines is the text "150"; give a whole number from 1 to 20,000, with'),
    ],
    "lines_too_many": [("6:12", "section 1: lines is 20001; give a whole number from 1 to 20,000")],
    "lines_zero": [("6:12", "section 1: lines is 0; give a whole number from 1 to 20,000")],
    "merge_key": [("5:3", "the merge key <<; mappings are not merged; write the keys out")],
    "missing_keys": [
        ("1:1", 'the key "id" is missing; add id: 03'),
        ("1:1", 'the key "source" is missing; add source: chapters/03_name.md'),
        ("3:5", 'section 1: the key "title" is missing; add title'),
        ("3:5", 'section 1: the key "lines" is missing; add lines: 150'),
    ],
    "nothing_in_it": [("2:1", "the file is empty")],
    "only_a_comment": [("1:1", "the file is empty")],
    "open_bracket": [("7:13", "the bracket opened here is not closed, or a comma in it is missing")],
    "open_quote": [("2:8", "not YAML: the quote opened here is never closed; close it")],
    "quality_negative": [
        ("4:26", "quality: code_examples is -1; give a whole number from 0 to 10,000"),
        ("8:20", "section 1: code_examples is 1.5; give a whole number"),
    ],
    "reserved_character": [("2:8", 'this character cannot begin a text; put the text in "quotes"')],
    "section_is_text": [
        ("5:5", 'section 1 is the text "Basics"; give keys and values; known are: title, heading, lines'),
        ("6:4", "section 2 is empty"),
        ("7:5", "section 3 is a list"),
    ],
    "sections_empty": [("4:11", "sections is an empty list; give a list with at least one section")],
    "sections_nothing": [("4:10", "sections is empty; give a list with at least one section")],
    "source_absolute": [("3:9", 'source "/etc/passwd" leaves the workspace; give a path inside it')],
    "source_on_a_drive": [("3:9", 'source "C:\\docs\\03.md" leaves the workspace')],
    "source_upwards": [("3:9", 'source "chapters/../../secret.md" leaves the workspace')],
    "source_with_backslashes": [("3:9", 'source "chapters\\03.md" has backslashes; write / between')],
    "style_wrong": [("4:8", "style is a list; give a style's name, such as tutorial or")],
    "tab_as_indentation": [("5:1", "a tab; use spaces"), ("6:1", "a tab; use spaces")],
    "tabs": [("4:7", "a tab; use spaces"), ("5:1", 'unknown key "hours_spent"; did you mean')],
    "tag": [
        ("4:11", "the tag !!python/object/apply:os.system; remove it"),
        ("4:11", "audience is a list; give a text"),
    ],
    "term_twice": [("6:3", 'glossary: the term "mmap" appears twice; remove one')],
    "text_on_two_lines": [("2:8", 'title is the text "Performance ↵ engineering ↵"; give a text on')],
    "texts_empty": [
        ("2:8", "title is an empty text; give a text on one line"),
        ("3:9", "source is an empty text; give a path inside it"),
        ("4:16", "audience: en is an empty text; give a text"),
        ("8:14", "section 1: topic 1 is an empty text"),
        ("8:18", "section 1: topic 2 is an empty mapping; give keys and values; known are: title, lines"),
        ("8:22", "section 1: topic 3 is empty"),
    ],
    "too_long": [("2:8", "title has 501 characters; give at most 500")],
    "two_documents": [("7:1", "a second document begins here; keep one in a file; remove the ---")],
    "unknown_key": [
        ("4:1", 'unknown key "priorty"; did you mean "priority"?'),
        ("8:5", 'section 1: unknown key "topcs"; did you mean "topics"?'),
    ],
    "unknown_key_without_a_neighbour": [("4:1", 'unknown key "colour"; known are: id, title')],
    "utf16": [("1:1", "the file is UTF-16; save it as UTF-8")],
    "words_for_flags": [
        ("4:8", 'hours is the text "yes"; give a number'),
        ("8:20", 'section 1: code_examples is the text "on"; give a whole number'),
    ],
    "wrong_indentation": [("6:11", "a key in the wrong column; put the text in")],
    "wrong_types": [
        ("1:5", "id is a list; give letters and digits, such as 03"),
        ("2:8", "title must be a string, not 2024; put it in quotes"),
        ("3:9", "source must be a string, not true; put it in quotes"),
        ("4:15", 'target_lines is the text "many"; give a whole number from 1 to 1,000,000'),
        ("5:11", 'priority is the text "urgent"; known are: high, medium, low'),
        ("6:8", 'hours is the text "soon"; give a number from 0'),
        ("7:10", 'quality is the text "good"; give keys and values; known are: code_examples'),
        ("9:3", "sections is a mapping; give a list with at least one section, each after"),
    ],
}
# What a schema cannot say, and why.
BEYOND_A_SCHEMA = {
    "id_of_another_chapter": "it does not see the file's name",
    "id_is_an_emoji": "patterns that all tools read have no classes of characters",
    "id_hidden": "it sees the number 0.03",
    "id_ends_in_a_line_feed": "Python's $ matches before it; an editor's does not",
    "duplicate_titles": "only whole items are compared",
    "lines_missing": "words of the section or of the chapter do as well",
}


def problems_of(path: Path, chapter_id: str = "03") -> list[str]:
    with pytest.raises(InputErrors) as caught:
        read_outline(path, root=path.parent, chapter_id=chapter_id)
    assert caught.value.exit_code == 2
    assert str(caught.value) == "\n".join(str(error) for error in caught.value.errors)
    return [str(error) for error in caught.value.errors]


def outline_of(folder: Path, text: str | bytes, chapter_id: str = "03") -> Outline:
    path = folder / f"{chapter_id}.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_outline(path, root=folder, chapter_id=chapter_id)


def messages_of(folder: Path, text: str | bytes) -> list[str]:
    path = folder / "03.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return problems_of(path)


def test_every_broken_outline_is_listed() -> None:
    files = {path.stem for path in BROKEN.glob("*.yaml")}
    assert files == {*PROBLEMS, "alias_bomb"}
    assert len(files) >= 25


@pytest.mark.parametrize("name", sorted(PROBLEMS))
def test_a_broken_outline_names_every_problem_with_its_position(name: str) -> None:
    found = problems_of(BROKEN / f"{name}.yaml")
    assert len(found) == len(PROBLEMS[name]), found
    for message, (position, part) in zip(found, PROBLEMS[name], strict=True):
        assert message.startswith(f"{name}.yaml:{position}: "), message
        assert part in message
        assert re.fullmatch(r"[^:]+:\d+:\d+: .+; .+", message)


@pytest.mark.parametrize("name", sorted(set(PROBLEMS) - {"lines_astronomical"}))
def test_the_pure_python_parser_finds_the_same(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    fast = problems_of(BROKEN / f"{name}.yaml")
    monkeypatch.setattr(input_file, "_Loader", yaml.SafeLoader)
    assert problems_of(BROKEN / f"{name}.yaml") == fast


def test_an_alias_bomb_is_refused_without_being_expanded() -> None:
    found = problems_of(BROKEN / "alias_bomb.yaml")
    assert sum("the alias *" in message for message in found) == 18
    assert sum("the anchor &" in message for message in found) == 3


@pytest.mark.parametrize("key", ["*x", '"\\0"', "&x a"])
def test_a_key_that_is_refused_is_named_once(tmp_path: Path, key: str) -> None:
    (found, *rest) = messages_of(tmp_path, HEAD + SECTIONS + f"quality:\n  {key} : 1\n")
    assert found.startswith("03.yaml:8:3: ")
    assert [message for message in rest if 'unknown key "a"' not in message] == []


# --- what is read ---------------------------------------------------------------------------------

WHOLE = """\
# 第三章
id: 08
title: {zh: 性能工程, en: Performance}
source: chapters/08 性能.md
target_lines: 0x64
priority: low
hours: 1.25
audience: |
  Rust programmers.
  Experienced ones.
quality: {code_examples: 0o17, code_language: no}
glossary:
  zero copy: {zh: 零拷贝, no: nullkopiering}
  "on": off
allowance: {tokens: 200000, usd: 12.50}
sections:
  - title: "  Basics "
    lines: 1e2
    topics: [yes, "1", 2025-10-23, "a: b"]
    code_examples: 2
    note: More on perf.
  - {title: Tools, lines: +50.0}
"""


def test_every_key_is_read_with_the_words_of_yaml_1_2(tmp_path: Path) -> None:
    outline = outline_of(tmp_path, WHOLE, "08")
    assert outline.id == "08"
    assert outline.title == Text(by_language={"zh": "性能工程", "en": "Performance"})
    assert outline.source == "chapters/08 性能.md"
    assert outline.stated_lines == 100
    assert outline.priority == "low"
    assert outline.hours == 1.25
    assert outline.audience == Text(plain="Rust programmers.\nExperienced ones.")
    assert outline.quality == Quality(code_examples=15, code_language="no")
    assert outline.glossary == {
        "zero copy": Text(by_language={"zh": "零拷贝", "no": "nullkopiering"}),
        "on": Text(plain="off"),
    }
    assert outline.allowance == Allowance(tokens=200000, usd=Decimal("12.50"))
    assert str(outline.allowance.usd) == "12.50"
    first, second = outline.sections
    assert (first.number, first.title, first.lines) == (1, Text(plain="Basics"), 100)
    assert [topic.plain for topic in first.topics] == ["yes", "1", "2025-10-23", "a: b"]
    assert (first.code_examples, first.note) == (2, Text(plain="More on perf."))
    assert (second.number, second.lines, second.topics) == (2, 50, ())
    assert type(first.lines) is int


def test_what_is_left_out_has_its_default(tmp_path: Path) -> None:
    outline = outline_of(tmp_path, HEAD + SECTIONS)
    assert outline.stated_lines is None
    assert outline.priority == "medium"
    assert outline.hours == 0.0
    assert outline.audience is None
    assert outline.quality == Quality()
    assert outline.glossary == {}
    assert outline.allowance is None
    assert outline.sections[0].code_examples is None
    assert outline.target_lines == 100


@pytest.mark.parametrize("written", ["03", '"03"', "'03'", "08", "3.10", "0x1F", "1e3", "附录-A", "é"])
def test_an_id_stays_as_it_is_written(tmp_path: Path, written: str) -> None:
    wanted = written.strip("\"'")
    text = HEAD.replace("id: 03", f"id: {written}") + SECTIONS
    assert outline_of(tmp_path, text, wanted).id == wanted


def test_an_id_and_a_file_name_may_spell_an_accent_differently(tmp_path: Path) -> None:
    text = HEAD.replace("id: 03", "id: e\u0301") + SECTIONS
    assert outline_of(tmp_path, text, "\u00e9").id == "\u00e9"
    assert outline_of(tmp_path, HEAD.replace("id: 03", "id: \u00e9") + SECTIONS, "e\u0301")


def test_a_chapter_cannot_take_the_book_s_file(tmp_path: Path) -> None:
    text = HEAD.replace("id: 03", "id: Book") + SECTIONS
    assert messages_of(tmp_path, text) == ["03.yaml:1:5: id is taken by book.yaml; choose another"]


@pytest.mark.parametrize("newline", ["\r\n", "\r", "\n"])
@pytest.mark.parametrize("start", ["", "\ufeff"])
def test_line_ends_and_a_byte_order_mark_change_nothing(tmp_path: Path, newline: str, start: str) -> None:
    text = start + (HEAD + SECTIONS + "    lnes: 3\n").replace("\n", newline)
    assert messages_of(tmp_path, text)[0].startswith("03.yaml:7:5: ")


def test_columns_count_characters_not_bytes(tmp_path: Path) -> None:
    text = HEAD + "sections:\n  - {title: 性能🦀分析, lines: 0}\n"
    assert messages_of(tmp_path, text)[0].startswith("03.yaml:5:27: section 1: lines is 0")


# --- files, links, sizes --------------------------------------------------------------------------


def test_what_is_no_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "03.yaml").mkdir()
    assert problems_of(tmp_path / "03.yaml") == [
        "03.yaml:1:1: the file cannot be read: it is no ordinary file; check its name and its rights"
    ]
    assert "03.yaml/x:1:1: " not in problems_of(tmp_path / "04.yaml")[0]
    assert problems_of(tmp_path / "04.yaml") == ["04.yaml:1:1: there is no such file; check the name, or write it"]
    os.mkfifo(tmp_path / "05.yaml")
    assert "it is no ordinary file" in problems_of(tmp_path / "05.yaml")[0]
    long = problems_of(tmp_path / ("x" * 300))
    assert "the file cannot be read: File name too long; check its name" in long[0]


def test_a_null_byte_in_a_file_name_is_no_crash(tmp_path: Path) -> None:
    assert "the file cannot be read: " in problems_of(tmp_path / "a\0b")[0]


def test_a_file_outside_the_workspace_is_shown_whole(tmp_path: Path) -> None:
    with pytest.raises(InputErrors) as caught:
        read_outline(tmp_path / "03.yaml", root=tmp_path / "inner", chapter_id="03")
    assert str(caught.value).startswith(f"{tmp_path / '03.yaml'}:1:1: ")


def test_a_file_of_one_megabyte_is_read_and_no_more(tmp_path: Path) -> None:
    text = (HEAD + SECTIONS).encode()
    comment = b"#" * (input_file.MAX_BYTES - len(text))
    assert outline_of(tmp_path, text + comment).id == "03"
    assert messages_of(tmp_path, text + comment + b"#") == [
        "03.yaml:1:1: the file is larger than 1,000,000 bytes; split it; a few thousand bytes are usual"
    ]


@pytest.mark.parametrize("bracket", ["[", "{a: ", "- ", "? ", "{", "!a [", "&a ["])
def test_deep_nesting_is_refused(tmp_path: Path, bracket: str) -> None:
    found = messages_of(tmp_path, bracket * (900_000 // len(bracket)))
    assert any("nested more than 16 levels deep" in message for message in found), found


def test_beyond_a_hundred_problems_are_counted(tmp_path: Path) -> None:
    unknown = "".join(f"key{number}: 1\n" for number in range(40_000))
    found = messages_of(tmp_path, HEAD + unknown + SECTIONS)
    assert len(found) == 101
    assert found[-1] == "03.yaml: 39,900 more problems are not shown; mend these first"


def test_a_hundred_problems_are_all_shown(tmp_path: Path) -> None:
    for count in (100, 101):
        unknown = "".join(f"key{number}: 1\n" for number in range(count))
        found = messages_of(tmp_path, HEAD + unknown + SECTIONS)
        assert len(found) == count
        assert ("more problems are not shown" in found[-1]) == (count > 100)


@pytest.mark.parametrize(
    ("hours", "read"),
    [
        ("0.000000000001", 1e-12),
        ("0.0000000000001", None),
        ("1e-12", 1e-12),
        ("100000", 100_000),
        ("100000.1", None),
        ("0e99", 0),
        ("0e100", None),
        ("1." + "0" * 28, None),
        ("00000000000000000000000000000.5", None),
        ("0000000000000000000000000000.5", 0.5),
    ],
)
def test_how_exact_and_how_long_a_number_may_be(tmp_path: Path, hours: str, read: float | None) -> None:
    text = f"{HEAD}hours: {hours}\n{SECTIONS}"
    if read is not None:
        assert outline_of(tmp_path, text).hours == read
    else:
        (found,) = messages_of(tmp_path, text)
        assert found.startswith(f"03.yaml:4:8: hours is {hours}; give ")


@pytest.mark.parametrize("depth", [16, 17])
def test_how_deep_values_may_be_nested(depth: int) -> None:
    file = parse_yaml("[" * depth + "]" * depth, "f")
    assert (not file.readable) == (depth > 16) == bool(file.problems)


def test_a_source_may_not_leave_through_a_link(tmp_path: Path) -> None:
    root = tmp_path / "workspace"
    root.mkdir()
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "03.md").write_text("secret")
    (root / "chapters").symlink_to(tmp_path / "secret")
    assert messages_of(root, HEAD + SECTIONS) == [
        f'03.yaml:3:9: source "chapters/03.md": the link chapters leads to {tmp_path / "secret"}, outside of the '
        "workspace; put a copy of what is there into the workspace"
    ]


def test_a_link_inside_the_workspace_is_fine(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "chapters").symlink_to("docs")
    assert outline_of(tmp_path, HEAD + SECTIONS).source == "chapters/03.md"


def test_a_loop_of_links_and_a_folder_are_no_source(tmp_path: Path) -> None:
    (tmp_path / "chapters").symlink_to("chapters")
    (found,) = messages_of(tmp_path, HEAD + SECTIONS)
    assert found.startswith('03.yaml:3:9: source "chapters/03.md": this path cannot be followed: Too many levels of')
    text = HEAD.replace("chapters/03.md", "docs") + SECTIONS
    (tmp_path / "docs").mkdir()
    (found,) = messages_of(tmp_path, text)
    assert found == '03.yaml:3:9: source "docs" is a folder; name a file in it'


# --- the book -------------------------------------------------------------------------------------


def book_problems(folder: Path, text: str) -> list[str]:
    (folder / "book.yaml").write_text(text)
    with pytest.raises(InputErrors) as caught:
        read_book(folder / "book.yaml", root=folder)
    return [str(error) for error in caught.value.errors]


def test_a_small_book_is_enough(tmp_path: Path) -> None:
    (tmp_path / "book.yaml").write_text("title: Small\nlanguages: [zh, en]\n")
    book = read_book(tmp_path / "book.yaml", root=tmp_path)
    assert (book.language, book.languages) == ("zh", ("zh", "en"))
    assert book.allowance == Allowance()
    assert (book.tiers, book.openings, book.chapters) == ((), (), ())
    (tmp_path / "book.yaml").write_text("title: Small\n")
    book = read_book(tmp_path / "book.yaml", root=tmp_path)
    assert (book.language, book.languages) == ("en", ("en",))


def test_a_tier_counts_its_lines_or_states_them(tmp_path: Path) -> None:
    (tmp_path / "book.yaml").write_text(
        "title: B\ntiers:\n  - {id: 1, title: T, target_lines: 10, lines: 7}\n  - {id: 2, title: U, target_lines: 9}\n"
    )
    book = read_book(tmp_path / "book.yaml", root=tmp_path)
    assert [(tier.id, tier.lines, tier.target_lines) for tier in book.tiers] == [
        ("1", 7, 10),
        ("2", None, 9),
    ]


def test_an_opening_balance_in_money(tmp_path: Path) -> None:
    (tmp_path / "book.yaml").write_text(
        "title: B\nopening:\n  - {chapters: [03], usd: 1.20}\n"
        "chapters:\n  - {id: 03, title: P}\n  - {id: 08, title: Q}\n"
    )
    book = read_book(tmp_path / "book.yaml", root=tmp_path)
    assert (book.openings[0].tokens, book.openings[0].hours) == (0, 0.0)
    assert str(book.openings[0].usd) == "1.20"


def test_names_that_the_book_does_not_have(tmp_path: Path) -> None:
    found = book_problems(
        tmp_path,
        "title: B\nlanguage: de\nlanguages: [en, zh]\n"
        "opening:\n  - chapters: [03, 30]\n    tokens: 5\n"
        "tiers:\n  - {id: 1, title: T, target_lines: 10}\n  - {id: 1, title: U, target_lines: 10}\n"
        "chapters:\n  - {id: 03, title: P, tier: 11}\n  - {id: 03, title: Q, source: ../x.md}\n",
    )
    assert found == [
        'book.yaml:2:11: language "de" is not among languages; known are: en, zh',
        'book.yaml:5:20: the book has no chapter "30"; known are: 03',
        "book.yaml:9:10: tier 2 repeats the id of tier 1; change or remove one of them",
        'book.yaml:11:30: the book has no tier "11"; did you mean "1"?',
        "book.yaml:12:10: chapter 2 repeats the id of chapter 1; change or remove one of them",
        'book.yaml:12:32: chapter 2: source "../x.md" leaves the workspace; give a path inside it, '
        "such as chapters/03_name.md",
    ]


def test_what_is_wrong_is_not_looked_up_as_well(tmp_path: Path) -> None:
    found = book_problems(
        tmp_path,
        "title: B\nchapters:\n  - {id: 03, title: P, tier: [1], source: chapters/}\n  - text\n"
        "opening:\n  - chapters: [true, 3]\ntiers:\n  - {title: T, target_lines: 1}\n",
    )
    assert found == [
        "book.yaml:3:30: chapter 1: tier is a list; give letters and digits, such as 03",
        'book.yaml:3:43: chapter 1: source "chapters/" is no path; give a path inside it, such as chapters/03_name.md',
        'book.yaml:4:5: chapter 2 is the text "text"; give keys and values; known are: id, title, tier, lines_before, '
        "lines, target_lines, words, characters, 字数, finished, source",
        "book.yaml:6:16: opening 1: chapter 1 must be a string, not true; put it in quotes",
        'book.yaml:6:22: the book has no chapter "3"; did you mean "03"?',
        'book.yaml:8:5: tier 1: the key "id" is missing; add id: 03',
    ]


def test_names_in_a_book_without_chapters(tmp_path: Path) -> None:
    found = book_problems(tmp_path, "title: B\nopening:\n  - chapters: [03]\n")
    assert found == ['book.yaml:3:16: the book has no chapter "03"; add the chapter']


def test_a_book_of_wrong_things(tmp_path: Path) -> None:
    found = book_problems(
        tmp_path,
        "title: B\nlanguages: [en, en]\nhouse_rules: none\n"
        "chapters:\n  - {id: true, title: P, finished: yes, lines: -1}\n  - {title: Q}\n"
        "tiers: &t\n",
    )
    assert [message.split(": ", 1)[0] for message in found] == [
        "book.yaml:2:17",
        "book.yaml:3:14",
        "book.yaml:5:10",
        "book.yaml:5:36",
        "book.yaml:5:48",
        "book.yaml:6:5",
        "book.yaml:7:8",
        "book.yaml:7:8",
    ]
    assert "language 2 repeats language 1" in found[0]
    assert 'chapter 1: finished is the text "yes"; give true or false' in found[3]


# --- warnings -------------------------------------------------------------------------------------


def test_what_is_odd_is_a_warning_with_its_place(tmp_path: Path) -> None:
    (tmp_path / "book.yaml").write_text(
        "title: B\nlanguages: [en, zh]\nchapters: [{id: 04, title: P, source: chapters/x.md, finished: TRUE}]\n"
    )
    book = read_book(tmp_path / "book.yaml", root=tmp_path)
    assert book.chapters[0].finished
    text = (
        "id: 03\ntitle: {en: Performance}\nsource: chapters/03.md\ntarget_lines: 1000\n"
        "sections:\n  - title: {zh: 工具, en: Tools}\n    lines: 8\n"
        "    topics: [perf, strace, {zh: 火焰图}]\n    note: {en: Short.}\n"
        "  - title: Rest\n    lines: 1017\n    topics: [a, b]\n"
    )
    path = tmp_path / "03.yaml"
    outline = outline_of(tmp_path, text)
    assert [str(warning) for warning in lint(outline, book, path, root=tmp_path)] == [
        '03.yaml:1:5: warning: the book has no chapter "03"; add it to book.yaml',
        '03.yaml:3:9: warning: there is no file "chapters/03.md"; nothing can be kept of it',
        "03.yaml:4:15: warning: the sections add up to 1,025 lines, target_lines says 1,000; 1,025 are drafted",
        "03.yaml:7:12: warning: section 1 has 3 topics in 8 lines; give it more lines or fewer topics",
    ]
    path.unlink()
    gone = lint(outline, book, path, root=tmp_path)
    assert len(gone) == 4
    assert {(warning.file, warning.line, warning.column) for warning in gone} == {("03.yaml", 1, 1)}


@pytest.mark.parametrize(
    ("target", "own", "warned"),
    [(90, "", False), (91, "", True), (100, "target_lines: 100\n", False), (None, "", False)],
)
def test_a_target_in_the_book_that_is_not_the_outlines_is_a_warning(
    tmp_path: Path, target: int | None, own: str, warned: bool
) -> None:
    stated = f", target_lines: {target}" if target else ""
    (tmp_path / "book.yaml").write_text(f"title: B\nlanguage: en\nchapters:\n- {{id: '03', title: P{stated}}}\n")
    book = read_book(tmp_path / "book.yaml", root=tmp_path)
    outline = outline_of(tmp_path, f"id: '03'\ntitle: P\nsource: a.md\n{own}sections: [{{title: S, lines: 90}}]\n")
    found = [str(warning) for warning in lint(outline, book, tmp_path / "03.yaml", root=tmp_path)]
    message = (
        "book.yaml says 91 lines, the outline 90; the reports count against 91: state 90 there, "
        "or leave target_lines out"
    )
    assert [one for one in found if "book.yaml says" in one] == ([f"03.yaml:1:5: warning: {message}"] if warned else [])


def test_another_source_in_the_book_is_a_warning(tmp_path: Path) -> None:
    (tmp_path / "chapters").mkdir()
    (tmp_path / "chapters" / "03.md").write_text("# Stub\n")
    (tmp_path / "book.yaml").write_text("title: B\nchapters: [{id: 03, title: P, source: chapters/x.md}]\n")
    book = read_book(tmp_path / "book.yaml", root=tmp_path)
    outline = outline_of(tmp_path, HEAD + SECTIONS)
    (warning,) = lint(outline, book, tmp_path / "03.yaml", root=tmp_path)
    assert str(warning) == ('03.yaml:3:9: warning: book.yaml names another source, "chapters/x.md"; this one is used')


@pytest.mark.parametrize(("lines", "crowded"), [(9, False), (8, True)])
def test_three_lines_a_topic_are_enough(tmp_path: Path, lines: int, crowded: bool) -> None:
    (tmp_path / "chapters").mkdir()
    (tmp_path / "chapters" / "03.md").write_text("# Stub\n")
    (tmp_path / "book.yaml").write_text("title: B\nchapters: [{id: 03, title: P}]\n")
    book = read_book(tmp_path / "book.yaml", root=tmp_path)
    outline = outline_of(tmp_path, f"{HEAD}sections:\n  - {{title: One, lines: {lines}, topics: [a, b, c]}}\n")
    warnings = [str(warning) for warning in lint(outline, book, tmp_path / "03.yaml", root=tmp_path)]
    assert any("3 topics in" in warning for warning in warnings) is crowded, warnings


def test_a_text_without_the_language_that_is_wanted_is_said_in_another() -> None:
    text = Text(by_language={"de": "Rohre", "zh": "管道"})
    assert [text.say("zh"), text.say("en", "zh"), text.say("en", "fr")] == ["管道", "管道", "Rohre"]


def test_what_the_syntax_suffers_from_is_said_alone(tmp_path: Path) -> None:
    (said,) = messages_of(tmp_path, 'id: 03\ntitle: ["a\x07"\n')
    assert said == "03.yaml:2:11: the control character U+0007; remove it"


WIDE = 'id: "03"\ntitle: 管道\nsource: a.md\nsections:\n  - title: 读\n    lines: 30\n    topics: [甲, 乙]\n'


@pytest.mark.parametrize(
    ("narrow", "wide", "message"),
    [
        ("title: 管道", "title：管道", '2:1: not YAML: a key without its colon; "：" is full-width; write ": "'),
        ("sections:", "sections：", '4:1: not YAML: a key without its colon; "：" is full-width; write ": "'),
        ("- title: 读", "- title：读", '"：" in line 5 is full-width; write ": "'),
        ("lines: 30", "lines: ３０", '6:12: section 1: lines is the text "３０"; "３０" is full-width; write 30'),
        ("甲, 乙", "甲，乙", '7:14: "，" separates nothing here; write ", ", or put the text in "quotes"'),
        ("[甲, 乙]", "［甲，乙］", '"［" is full-width; write [ and ]'),
        ('"03"', "“03”", '1:5: id holds "“"; "“" is full-width; write "'),
        ("- title: 读", "－ title: 读", '"－" in line 5 is full-width; write "- "'),
        ("    lines", "　　lines", '"　" in line 6 is full-width; write a space'),
        ("lines: 30", "lines: 30 ＃ few", '"＃" is full-width; write " #"'),
        (
            "title: 管道",
            "title: {zh：管道}",
            '2:9: "：" separates nothing here; write ": ", or put the',
        ),
    ],
)
def test_full_width_punctuation_is_named(tmp_path: Path, narrow: str, wide: str, message: str) -> None:
    assert narrow in WIDE
    assert any(message in said for said in messages_of(tmp_path, WIDE.replace(narrow, wide, 1)))


def test_full_width_punctuation_in_a_text_is_text(tmp_path: Path) -> None:
    text = WIDE.replace("管道", "“管道”：读，写").replace("甲, 乙", '"甲，乙", {zh: 丙，丁}')
    outline = outline_of(tmp_path, text)
    assert outline.title.plain == "“管道”：读，写"
    assert [topic.say("zh") for topic in outline.sections[0].topics] == ["甲，乙", "丙，丁"]


def test_a_book_that_is_no_yaml_is_an_input_error(tmp_path: Path) -> None:
    (tmp_path / "book.yaml").write_text("title: [\n", encoding="utf-8")
    with pytest.raises(InputErrors, match=r"book\.yaml:2:1: not YAML: a comma or a bracket"):
        read_book(tmp_path / "book.yaml", root=tmp_path)


def test_input_errors_hold_at_least_one() -> None:
    with pytest.raises(ValueError, match="at least one"):
        InputErrors([])


# --- the schema -----------------------------------------------------------------------------------


def core(text: str) -> Any:
    """The document as an editor sees it: YAML 1.2, independent of the reader's nodes."""

    class Loader(yaml.CSafeLoader):  # as the reader's, since PyYAML's own one refuses `n?o`
        yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 - PyYAML's own way

    for tag, pattern, first in (
        ("null", r"^(?:null|Null|NULL|~|)$", ["n", "N", "~", ""]),
        ("bool", r"^(?:true|True|TRUE|false|False|FALSE)$", list("tTfF")),
        ("int", r"^(?:[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+)$", list("-+0123456789")),
        (
            "float",
            r"^(?:[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.inf)$",
            list("-+.0123456789"),
        ),
    ):
        Loader.add_implicit_resolver(f"tag:yaml.org,2002:{tag}", re.compile(pattern), first)
    Loader.add_constructor(
        "tag:yaml.org,2002:int",
        lambda loader, node: (
            int(node.value, 8) if "o" in node.value else int(node.value, 16) if "x" in node.value else int(node.value)
        ),
    )
    return with_text_keys(yaml.load(text, Loader=Loader))


def with_text_keys(value: Any) -> Any:
    """As JSON has it, for which schemas are made."""
    if isinstance(value, dict):
        return {str(key): with_text_keys(inner) for key, inner in value.items()}
    return [with_text_keys(item) for item in value] if isinstance(value, list) else value


def verdict(schema: dict[str, Any], text: str) -> bool:
    return bool(jsonschema.Draft202012Validator(schema).is_valid(core(text)))


def test_the_schemas_are_schemas() -> None:
    for schema in (OUTLINE.schema, BOOK.schema):
        jsonschema.Draft202012Validator.check_schema(schema)
        assert json.loads(json.dumps(schema)) == schema
        assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"


def every_key(schema: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    yield from schema.get("properties", {}).items()
    for inner in (*schema.get("properties", {}).values(), schema.get("items"), schema.get("additionalProperties")):
        if isinstance(inner, dict):
            yield from every_key(inner)


@pytest.mark.parametrize(("name", "schema"), [*every_key(OUTLINE.schema), *every_key(BOOK.schema)])
def test_every_key_has_a_meaning_and_an_example_that_is_valid(name: str, schema: dict[str, Any]) -> None:
    assert schema["description"].endswith("."), name
    assert [jsonschema.Draft202012Validator(schema).is_valid(example) for example in schema["examples"]] == [True]


@pytest.mark.parametrize("text", [WHOLE, HEAD + SECTIONS])
def test_the_schema_accepts_what_the_reader_accepts(text: str) -> None:
    assert verdict(OUTLINE.schema, text)


SYNTAX = {
    name
    for name, found in PROBLEMS.items()
    if any(
        word in part
        for _, part in found
        for word in ("YAML", "UTF", "tab", "control", "anchor", "merge", "tag", "twice", "document")
    )
    or name.startswith(("colon", "dash", "key_", "open", "reserved", "wrong_ind", "lines_astro"))
}


@pytest.mark.parametrize("name", sorted(set(PROBLEMS) - SYNTAX))
def test_the_schema_refuses_what_the_reader_refuses(name: str) -> None:
    accepted = verdict(OUTLINE.schema, (BROKEN / f"{name}.yaml").read_text(encoding="utf-8"))
    assert accepted == (name in BEYOND_A_SCHEMA)


# --- anything at all ------------------------------------------------------------------------------

SEED = WHOLE.replace("id: 08", "id: 03").encode()
ANY = settings(
    max_examples=200,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@st.composite
def mutations(draw: st.DrawFn) -> bytes:
    text = bytearray(SEED)
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(text)))
        end = min(len(text), start + draw(st.integers(0, 12)))
        text[start:end] = draw(
            st.one_of(
                st.binary(max_size=6),
                st.sampled_from(rb"- |: |? |[|{|'|\u|&x |*x|1e9999|.nan|0x".split(b"|")),
                st.sampled_from([b"\n", b"\t", b"\r", b"---\n"]),
            )
        )
    return bytes(text)


@ANY
@given(raw=st.one_of(st.binary(max_size=200), st.text(max_size=200).map(lambda t: t.encode()), mutations()))
@example(raw=b"id: .\n")
@example(raw=b"hours: 1e99999999999999999999\n")
@example(raw=b'title: "\\ud800"\n')
@example(raw=b"%YAML 1.2\n---\n%TAG ! x\n")
def test_reading_anything_raises_input_errors_only(tmp_path: Path, raw: bytes) -> None:
    for loader in (yaml.CSafeLoader, yaml.SafeLoader):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(input_file, "_Loader", loader)
            try:
                outline = outline_of(tmp_path, raw)
            except InputErrors as refused:
                positions = [(e.place.line or 0, e.place.column) for e in refused.errors if e.place]
                assert positions == sorted(positions)
                lines = len(re.split(rb"\r\n|\r|\n", raw)) + 1
                assert all(line <= lines for line, _ in positions)
                str(refused).encode()
            else:
                assert outline.target_lines > 0
                assert outline.id == "03"
                assert verdict(OUTLINE.schema, raw.decode("utf-8-sig"))
        (tmp_path / "book.yaml").write_bytes(raw)
        try:
            read_book(tmp_path / "book.yaml", root=tmp_path)
        except InputError as refused:
            str(refused).encode()


def test_the_fast_parser_is_used_where_it_exists() -> None:
    assert input_file._Loader is yaml.CSafeLoader
