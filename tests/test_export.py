"""``expand export``: with a stand-in for pandoc, and with pandoc itself where it is installed."""

from __future__ import annotations

import os
import shutil
import sys
import zipfile
from pathlib import Path

import pytest
from report_books import draft_text
from workspaces import expand, small

CHAPTER = """\
# Signals

See the note[^1].

| call | does |
|---|---|
| `kill` | sends |

```rust,no_run
fn main() { println!("<&>"); }
```

[^1]: A note.
"""
STAND_IN = """\
#!{python}
import pathlib, sys
words = sys.argv[1:]
pathlib.Path(words[words.index("--output") + 1]).write_text(repr((words, str(pathlib.Path.cwd()))) + sys.stdin.read())
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = small(tmp_path / "book")
    (folder / "chapters/07_signals.md").write_text(CHAPTER, encoding="utf-8")
    monkeypatch.chdir(folder)
    return folder


def stand_in(place: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    tools = place.parent / "tools"
    tools.mkdir()
    (tools / "pandoc").write_text(script.format(python=sys.executable))
    (tools / "pandoc").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}{os.pathsep}{os.environ['PATH']}")


@pytest.mark.parametrize("form", ["epub", "docx", "html"])
def test_the_document_goes_to_pandoc(place: Path, monkeypatch: pytest.MonkeyPatch, form: str) -> None:
    stand_in(place, monkeypatch, STAND_IN)
    ran = expand(place, "export", "07", "--to", form)
    assert (ran.code, ran.out) == (0, f"07.{form}\n")
    made = (place / f"07.{form}").read_text()
    assert f"'{place / 'chapters'!s}'" in made, "pictures are found from the document's folder"
    assert "'--shift-heading-level-by=-1'" in made
    assert "'title=Signals and pipes'" in made
    assert "```rust\n" in made, "pandoc knows no rust,no_run"
    assert ("--self-contained" in made) is (form == "html")


def test_a_draft_comes_first_without_the_tool_s_last_line(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(place, monkeypatch, STAND_IN)
    (place / "drafts").mkdir()
    (place / "drafts/07.md").write_text(draft_text(), encoding="utf-8")
    assert "<!-- expand" in draft_text().splitlines()[-1]
    assert expand(place, "export", "07", "--to", "html", "-o", "made.html").code == 0
    made = (place / "made.html").read_text()
    assert "Fact 1.1 says something" in made
    assert "<!-- expand" not in made


def test_without_pandoc_it_says_so(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(place))
    ran = expand(place, "export", "07", "--to", "epub")
    assert (ran.code, ran.out) == (2, "")
    assert "export needs pandoc, which is not installed; install it" in ran.err
    assert "--to is 'pdf'; known are: html, epub, docx" in expand(place, "export", "07", "--to", "pdf").err


def test_what_pandoc_refuses_leaves_the_former_file(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(place, monkeypatch, "#!{python}\nimport sys\nsys.exit('unknown extension')\n")
    (place / "07.epub").write_bytes(b"former")
    ran = expand(place, "export", "07", "--to", "epub")
    assert (ran.code, ran.out) == (2, "")
    assert "pandoc failed: unknown extension" in ran.err
    assert (place / "07.epub").read_bytes() == b"former"
    (place / "chapters/07_signals.md").unlink()
    assert "there is neither a draft nor a document" in expand(place, "export", "07", "--to", "epub").err


@pytest.mark.skipif(shutil.which("pandoc") is None, reason="pandoc is not installed")
@pytest.mark.parametrize(("form", "part"), [("epub", "ch00"), ("docx", "word/document.xml"), ("html", "")])
def test_code_tables_and_notes_arrive_whole(place: Path, form: str, part: str) -> None:
    assert expand(place, "export", "07", "--to", form).code == 0
    if form == "html":
        texts = [(place / "07.html").read_text(encoding="utf-8")]
    else:
        with zipfile.ZipFile(place / f"07.{form}") as made:
            texts = [made.read(name).decode() for name in made.namelist() if name.endswith(("xml", "xhtml"))]
    everything = "".join(texts)
    for words in ("println!", "&lt;&amp;&gt;", "kill", "sends", "A note"):
        assert words in everything
    assert ("<table" in everything) or ("<w:tbl>" in everything)
