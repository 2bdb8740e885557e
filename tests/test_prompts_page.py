"""docs/prompts.md: its commands run in order, its templates rendered, its messages provoked."""

from __future__ import annotations

import shlex
from pathlib import Path

from documented_code import CodeBlock, code_blocks
from workspaces import ROOT, expand, shipped

from expand.model.prompt import Prompts
from expand.model.shelf import known_styles
from expand.outline import Style

PAGE = ROOT / "docs" / "prompts.md"


def shown(block: CodeBlock) -> str:
    """What a console block says that its commands print."""
    return "".join(f"{row}\n" for row in block.code.splitlines() if not row.startswith("$ "))


def test_the_commands_do_what_the_page_says(tmp_path: Path) -> None:
    place = shipped(tmp_path / "workspace")
    blocks = code_blocks(PAGE, "console")
    assert len(blocks) >= 6
    for block in blocks:
        printed = ""
        for command in block.commands:
            name, *arguments = shlex.split(command)
            ran = expand(place, *arguments)
            assert (name, ran.code) == ("expand", 0), f"{block.name}: {command}: {ran.err}"
            printed += ran.out
        assert shown(block) in ("", printed), block.name
    ejected = place / "prompts" / "section.j2"
    first, *_ = code_blocks(PAGE, "jinja")
    assert ejected.read_text(encoding="utf-8") == first.code.rstrip("\n") + "\n"


def test_the_styles_are_those_of_the_page(tmp_path: Path) -> None:
    (setting,) = code_blocks(PAGE, "yaml")
    key, _, name = setting.code.strip().partition(": ")
    assert key == "style"
    text = PAGE.read_text(encoding="utf-8")
    assert name in known_styles(None)
    assert all(f"| `{style}` |" in text for style in known_styles(None))
    *_, own = code_blocks(PAGE, "jinja")
    folder = tmp_path / "styles" / "our-house"
    folder.mkdir(parents=True)
    (folder / "system.j2").write_text(own.code, encoding="utf-8")
    Prompts(tmp_path).of("03", Style(name="our-house")).check("en")


def test_the_messages_are_those_of_the_tool(tmp_path: Path) -> None:
    place = shipped(tmp_path / "workspace")
    (said,) = code_blocks(PAGE, "text")
    told = " ".join(said.code.replace("…", "").split())
    folder = place / "prompts"
    folder.mkdir()
    mistakes = {
        "section.j2": "\n{{ sectoin_title }} {{ lines }} lines",
        "system.j2": "\n" * 8 + "{{ topics }}",
        "repair.j2": "Mend it.",
    }
    for name, text in mistakes.items():
        (folder / name).write_text(text, encoding="utf-8")
        message = expand(place, "prompt", "show", "03", "--model", "gpt-5-mini").err
        (folder / name).unlink()
        found = message[message.index(f"prompts/{name}:") :].partition(", continue.j2 or")[0]
        assert " ".join(found.split()) in told, found
