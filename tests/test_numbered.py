"""The layout whose headings the tool sets: what the author's document holds stays, or is named."""

from __future__ import annotations

from pathlib import Path

import pytest
from scripted_server import ScriptedServer
from workspaces import expand

BOOK = "title: Pages\nlanguage: en\nlayout: numbered\nallowance: {tokens: 200000}\n"


def workspace(folder: Path, outline: str, source: str = "# T\n", **files: str) -> Path:
    """A workspace with one chapter ``p`` of ``docs/p.md``; ``outline`` are its sections in YAML."""
    texts = {
        "expand.toml": '[author]\nmodel = "scripted"\n',
        "outlines/book.yaml": BOOK,
        "outlines/p.yaml": f"id: p\ntitle: T\nsource: docs/p.md\nsections:\n{outline}",
        "docs/p.md": source,
        **files,
    }
    for name, text in texts.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode())
    return folder


def drafted(place: Path) -> str:
    """The draft of chapter ``p``, byte for byte."""
    with ScriptedServer() as server:
        assert expand(place, "chapter", "p", "--base-url", server.base_url).code in (0, 5)
    return (place / "drafts" / "p.md").read_bytes().decode()


def headings(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith(("# ", "## ", "### "))]


@pytest.mark.parametrize(
    ("title", "shown"),
    [
        ("1. Profiling tools", "1. Profiling tools"),
        ("第二章 性能", "1. 性能"),
        ("4.19 and io_uring", "1. 4.19 and io_uring"),
        ("2024 roadmap", "1. 2024 roadmap"),
    ],
)
def test_a_title_is_numbered_once(tmp_path: Path, title: str, shown: str) -> None:
    place = workspace(tmp_path, f'  - {{title: "{title}", lines: 12, topics: ["2.1 perf", "HTTP/2", "1.3 kernels"]}}\n')
    found = headings(drafted(place))
    assert found == ["# T", "## Contents", f"## {shown}", "### 1.1 perf", "### 1.2 HTTP/2", "### 1.3 kernels"]


SOURCE = """---
title: Front
---

<!-- a comment -->

Profiling guide {#guide}
========================

An introduction, see [perf](#perf-tool), [setup](#setup), <a href="p.md#1-setting-up">there</a> and [more][m].

<a id="setup-old"></a>

## 1. Setting up {#setup}

Intro of setting up.

### perf tool

How to use perf: `[x](#perf-tool)`.

#### Pitfalls {#pit}

Mind them.

---

Still about perf.

::: tip
### valgrind

Boxed.
:::

## Odd part

Other things about strace.

## See also

- [y](https://y.example)

## Appendix A: Tables

| a |
| - |
| b |

[m]: #odd-part
"""
OUTLINE = """  - {title: Setting up, lines: 60, topics: [perf tool, valgrind]}
  - {title: Other, lines: 12, topics: [strace]}
"""


@pytest.mark.parametrize("form", ["plain", "mark and CRLF"])
def test_what_the_author_wrote_stays_where_it_belongs(tmp_path: Path, form: str) -> None:
    source = SOURCE if form == "plain" else "\ufeff" + SOURCE.replace("\n", "\r\n")
    place = workspace(
        tmp_path, OUTLINE, source, **{"docs/q.md": "[a](p.md#perf-tool) [b](./p#setup) [c](#perf-tool)\n"}
    )
    whole = drafted(place)
    assert whole.startswith("\ufeff") is source.startswith("\ufeff")
    assert whole.count("\r\n") == (0 if form == "plain" else whole.count("\n"))
    text = whole.removeprefix("\ufeff").replace("\r\n", "\n")
    head, _, rest = text.partition("\n## Contents\n")
    assert head.strip() == SOURCE.partition("\n<a id")[0].replace("#perf-tool)", "#11-perf-tool)").strip()
    order = [
        "## 1. Setting up", '<a id="setup-old"></a>', '<a id="setup"></a>', "Intro of setting up.", "### 1.1 perf tool",
        "`[x](#perf-tool)`", "##### Pitfalls {#pit}", "Mind them.\n\n---\n\nStill about perf.",
        "::: tip\n### valgrind\n\nBoxed.\n:::", "### 1.2 valgrind", "## 2. Other", "### 2.1 strace",
        "Other things about strace.", "\n---\n\n## See also", "## Appendix A: Tables", "[m]: #21-strace\n\n<!-- expand",
    ]  # fmt: skip
    places = [rest.find(piece) for piece in order]
    assert -1 not in places, order[places.index(-1)]
    assert places == sorted(places)
    findings = expand(place, "review", "p", "--json").json["chapters"][0]["findings"]
    messages = {finding["message"].partition(":")[0]: finding["kind"] for finding in findings}
    assert [f["message"] for f in findings if f["kind"] == "breaks-link"] == [
        "docs/q.md:1: its link to #perf-tool would lead nowhere"
    ], messages
    assert "left-out" not in messages.values()
    assert any("Odd part" in finding["message"] for finding in findings if finding["kind"] == "superseded")
    assert expand(place, "accept", "p", "--force").code == 0
    assert (place / "docs" / "p.md").read_bytes().decode() == whole.partition("<!-- expand")[0].rstrip() + (
        "\n" if form == "plain" else "\r\n"
    )
    assert not [
        f for f in expand(place, "review", "p", "--json").json["chapters"][0]["findings"] if f["kind"] == "breaks-link"
    ]
