"""The layout whose headings the tool sets: what the author's document holds stays, or is named."""

from __future__ import annotations

from pathlib import Path

import pytest
from workspaces import expand

from expand.testing.server import ScriptedServer

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
