"""Drafts that were written when each layout had a hidden line of its own: nothing is bought again, and edits stay.

``former_drafts.json`` holds such drafts of both layouts, some with a person's edits in them, some under an outline that
changed since, each with what is to become of it: the sections that are edited or due, and the document that is written
again, "" for the same one.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from expand.document.draft import document_text, read
from expand.drafting.chapter import NO_REVISION
from expand.drafting.draft_file import DraftFile, DraftStore
from expand.drafting.model_setup import model_setup_for
from expand.drafting.run_options import RunOptions
from expand.settings import Settings
from expand.workspace import Workspace

HEAD, SIGNALS, PIPES, CHECKLIST = (
    "id: 07\ntitle: {en: Signals and pipes, zh: 信号与管道}\nsource: chapters/07.md\nsections:\n",
    "  - title: {en: Signal handling, zh: 信号处理}\n    lines: 14\n"
    "    topics: [{en: Blocking signals, zh: 阻塞信号}, {en: Handler safety, zh: 处理函数的安全}]\n",
    "  - title: {en: Named pipes, zh: 命名管道}\n    lines: 22\n    topics: [{en: Opening a pipe, zh: 打开管道}]\n",
    "  - title: {en: Checklist, zh: 检查清单}\n    lines: 8\n",
)
BOOK = "title: {en: A book, zh: 书}\nlanguage: en\nlanguages: [en, zh]\nlayout: LAYOUT\nallowance: {tokens: 200000}\n"
OUTLINES = {
    "": HEAD + SIGNALS + PIPES + CHECKLIST,
    "rotated": HEAD + CHECKLIST + SIGNALS + PIPES.replace("en: Named pipes", "en: Pipes with names"),
    "taken out": HEAD + PIPES + CHECKLIST,
}
LONG = """\
---
tags: [pipes]
---

# Signals and pipes

> **Level**: expert

See [pipes](#named-pipes)[^1].

## Named pipes

<a id="fifo"></a>

A named pipe outlives the processes that opened it.

---

```rust
fn open(path: &str) {}
```

### Opening a pipe

TODO

### Sizes

A page.

## Further

Signals interrupt a read.

## See also

- [man 7 pipe](https://man7.org/pipe)

[^1]: As POSIX says.

---

**Maintenance**: kept by its authors.
"""
SHORT = "# Signals and pipes\n\n## Named pipes\n\nText."
SOURCES = {"long": LONG, "short": SHORT, "crlf": "\ufeff" + LONG.replace("\n", "\r\n"), "none": ""}
FORMER = json.loads(Path(__file__).with_name("former_drafts.json").read_text(encoding="utf-8"))


def workspace(place: Path, former: dict[str, Any]) -> Path:
    """The workspace of a former draft, without the draft."""
    files = {
        "expand.toml": '[author]\nmodel = "scripted"\n',
        "outlines/book.yaml": BOOK.replace("LAYOUT", former["layout"]),
        "outlines/07.yaml": OUTLINES[former["outline"]],
        "chapters/07.md": SOURCES[former["source"]],
        f"drafts/{former['draft_name']}.md": former["draft"],
        f".expand/lines/{former['draft_name']}": former["line"],
    }
    for name, text in files.items():
        if text:
            path = place / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(text.encode())
    return place


def written_again(place: Path, language: str) -> DraftFile:
    """The draft, once it was read and written."""
    opened = Workspace.open(place)
    options = RunOptions(chapters=("07",), language=language)
    setup = model_setup_for(opened, Settings(model="scripted"), ledger=None)
    store = DraftStore(opened, opened.book(), options=options, setup=setup)
    draft_file = store.take("07")
    store.close("07")
    return draft_file


def what_it_is(draft_file: DraftFile) -> dict[str, Any]:
    """What is edited, and what is due for another reason than the model or its templates, which are of this version."""
    sections, due = draft_file.chapter.outline.sections, {}
    for section in sections:
        word, _, parts = draft_file.reason(section, NO_REVISION).partition(": ")
        left = [part for part in parts.split(", ") if part not in ("", "templates", "model")]
        if word and (left or word != "changed"):
            due[str(section.number)] = ": ".join([word, *([", ".join(left)] if left else [])])
    return {"edited": [one.number for one in sections if draft_file.edited(one.number)], "due": due}


@pytest.mark.parametrize("former", FORMER, ids=lambda former: former["name"])
def test_a_former_draft_is_what_it_was(former: dict[str, Any], tmp_path: Path) -> None:
    place = workspace(tmp_path, former)
    for _ in range(2):  # as the former version wrote it, and as this one does
        draft_file = written_again(place, former["language"])
        assert what_it_is(draft_file) == {"edited": former["edited"], "due": former["due"]}
        text = (place / f"drafts/{former['draft_name']}.md").read_bytes().decode()
        assert document_text(text) == (former["document"] or document_text(former["draft"]))
        assert read(text).language == former["language"]
