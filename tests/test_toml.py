"""TOML with positions: where tomllib finds a key, and where we say that it stands."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from expand.schema.input_file import DataPath, InputFile, parse_toml, read_toml

TEXT = """\
# [author] in a comment
top = 1
[author]
model = "a = b"   # base_url = 3
note = '''
model = "not this one"
[models]
'''
[models."gpt-*"]
prices = { prompt = 1.5, "completion" = 2 }
  parameters.top_p = 0.9
parameters.stop = [
  "x", # ]
  "y = 1",
]
[models.'b.c'.prices]
prompt = 3
[[forms]]
aspect = "one"
[[forms]]
aspect = "two"
"""


def positions_of(text: str) -> dict[DataPath, tuple[int, int]]:
    """Where each key stands, by the keys that lead to it; items of lists stand where the list does."""
    file = parse_toml(text, "f")
    found = ((path, file.value(path)) for path in paths(tomllib.loads(text)))
    return {path: (at.line or 0, at.column or 0) for path, at in found}


def paths(value: object, path: DataPath = ()) -> Iterator[DataPath]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield (*path, key)
            yield from paths(inner, (*path, key))
    elif isinstance(value, list):
        for item in value:
            yield from paths(item, path)


def test_where_each_key_stands() -> None:
    assert positions_of(TEXT) == {
        ("top",): (2, 1),
        ("author",): (3, 2),
        ("author", "model"): (4, 1),
        ("author", "note"): (5, 1),
        ("models",): (9, 2),
        ("models", "gpt-*"): (9, 10),
        ("models", "gpt-*", "prices"): (10, 1),
        ("models", "gpt-*", "prices", "prompt"): (10, 12),
        ("models", "gpt-*", "prices", "completion"): (10, 27),
        ("models", "gpt-*", "parameters"): (11, 3),
        ("models", "gpt-*", "parameters", "top_p"): (11, 14),
        ("models", "gpt-*", "parameters", "stop"): (12, 12),
        ("models", "b.c"): (16, 10),
        ("models", "b.c", "prices"): (16, 15),
        ("models", "b.c", "prices", "prompt"): (17, 1),
        ("forms",): (18, 3),
        ("forms", "aspect"): (19, 1),
    }


def read(path: Path, data: bytes) -> tuple[InputFile, str]:
    path.write_bytes(data)
    found = read_toml(path, path.parent)
    try:
        found.raise_if_any()
    except Exception as error:
        return found, str(error)
    return found, ""


def test_line_ends_and_a_byte_order_mark_change_nothing(tmp_path: Path) -> None:
    plain, _ = read(tmp_path / "f", TEXT.encode())
    windows, _ = read(tmp_path / "f", b"\xef\xbb\xbf" + TEXT.replace("\n", "\r\n").encode())
    assert plain.data == windows.data
    for path in paths(plain.data):
        assert plain.value(path) == windows.value(path)
    assert plain.data["models"] == {
        "gpt-*": {
            "prices": {"prompt": Decimal("1.5"), "completion": 2},
            "parameters": {"top_p": Decimal("0.9"), "stop": ["x", "y = 1"]},
        },
        "b.c": {"prices": {"prompt": 3}},
    }


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"a = 1\nb = \n", "f:2:5: Invalid value; mend the TOML"),
        (b"a = 1\na = 2", "f:2:1: Cannot overwrite a value; mend the TOML"),
        (b"a = '''\n\n", """f:1:1: Expected "'''"; mend the TOML"""),
        (b"# \xff", "f:1:1: byte 2 is not UTF-8; save the file as UTF-8"),
        (b"x = 1\na = 07:32:00\n", "f:2:1: a is a date or time; give a text in quotes"),
        (b"x = 1\na = [1.5, -inf]\n", "f:2:1: a is -inf; give a finite number of at most 30 digits"),
    ],
)
def test_what_cannot_be_read_has_its_place(tmp_path: Path, data: bytes, message: str) -> None:
    found, said = read(tmp_path / "f", data)
    assert said == message
    assert found.readable == ("give a" in message)


NAMES = st.sampled_from(["a", "b-c", "model", "x_1"])
VALUES = st.sampled_from(["1", '"t = 1"', "[1, 2]", "{ k = 1, l = 2 }", "'''\nq = 2\n'''", "true"])
LINES = st.one_of(
    st.builds("{} = {}".format, NAMES, VALUES),
    st.builds("[{}.{}]".format, NAMES, NAMES),
    st.builds("# {} = 3".format, NAMES),
    st.just(""),
)


@given(st.lists(LINES, max_size=12).map("\n".join))
def test_every_key_stands_on_a_line_that_holds_it(text: str) -> None:
    try:
        tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return
    lines = text.split("\n")
    for path, (line, column) in positions_of(text).items():
        assert lines[line - 1][column - 1 :].startswith(str(path[-1]))
