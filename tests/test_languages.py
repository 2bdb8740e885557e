"""Drafts and documents of several languages: where they are, and which one a command means."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from scripted_server import ScriptedServer
from workspaces import Ran, draft_of, expand, small

from expand.document.draft import document_text

MAPPED = "source: {en: chapters/07_signals.md, zh: zh/07.md}"


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return small(tmp_path / "book")


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with ScriptedServer() as running:
        yield running


def draft(place: Path, server: ScriptedServer, *arguments: str) -> Ran:
    return expand(place, "chapter", "07", "--base-url", server.base_url, "--json", *arguments)


def statuses(ran: Ran) -> list[str]:
    return [section["status"] for section in ran.json["chapters"][0]["sections"]]


def outline(place: Path, old: str, new: str, file: str = "07") -> None:
    path = place / f"outlines/{file}.yaml"
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def test_a_draft_in_another_language_is_beside_the_book_s_own(place: Path, server: ScriptedServer) -> None:
    draft(place, server)
    own = draft_of(place)
    ran = draft(place, server, "--language", "zh")
    assert ran.json["chapters"][0]["draft"] == "drafts/07.zh.md"
    assert draft_of(place) == own
    assert "## 1. 信号处理" in draft_of(place, "07.zh")
    sent = len(server.requests)
    assert set(statuses(draft(place, server))) == {"reused"}
    assert set(statuses(draft(place, server, "--language", "zh"))) == {"reused"}
    assert len(server.requests) == sent


def test_buying_one_language_anew_leaves_the_other_current(place: Path, server: ScriptedServer) -> None:
    draft(place, server)
    draft(place, server, "--language", "zh")
    own = draft_of(place)
    anew = draft(place, server, "--language", "zh", "--fresh", "--section", "3")
    assert statuses(anew) == ["drafted"]
    ran = expand(
        place, "revise", "07", "--section", "3", "--note", "Shorter", "--language", "zh",
        "--base-url", server.base_url, "--json",
    )  # fmt: skip
    assert ran.json["chapters"][0]["language"] == "zh"
    assert set(statuses(draft(place, server))) == {"reused"}
    assert draft_of(place) == own


def test_an_edit_replaced_in_one_language_comes_back_there(place: Path, server: ScriptedServer) -> None:
    draft(place, server)
    draft(place, server, "--language", "zh")
    path = place / "drafts/07.zh.md"
    path.write_text(
        draft_of(place, "07.zh").replace("## 3. 检查清单\n", "## 3. 检查清单\n\n我的话。\n"), encoding="utf-8"
    )
    refused = expand(place, "revise", "07", "--section", "3", "--note", "x", "--language", "zh")
    assert (refused.code, "drafts/07.zh.md was edited by hand" in refused.err) == (2, True)
    draft(place, server, "--language", "zh", "--fresh", "--section", "3")
    assert "我的话" not in draft_of(place, "07.zh")
    none = expand(place, "revise", "07", "--section", "3", "--restore")
    assert (none.code, "no edit of section 3" in none.err) == (2, True)
    assert expand(place, "revise", "07", "--section", "3", "--restore", "--language", "zh").code == 0
    assert "我的话" in draft_of(place, "07.zh")


def test_without_a_language_the_only_draft_is_meant(place: Path, server: ScriptedServer) -> None:
    draft(place, server, "--language", "zh")
    assert expand(place, "review", "07", "--json").json["chapters"][0]["draft"] == "drafts/07.zh.md"
    assert "0 of 100" not in expand(place, "status").out
    missing = expand(place, "review", "07", "--language", "en")
    assert missing.code == 2
    assert "drafts/07.md: there is no draft; make one with `expand chapter 07`" in missing.err
    draft(place, server)
    assert expand(place, "review", "07", "--json").json["chapters"][0]["draft"] == "drafts/07.md"
    unknown = expand(place, "review", "07", "--language", "fr")
    assert (unknown.code, "give one of: en, zh" in unknown.err) == (2, True)


def test_a_draft_of_an_older_version_is_neither_lost_nor_misread(place: Path, server: ScriptedServer) -> None:
    draft(place, server, "--language", "zh")
    older = draft_of(place, "07.zh")
    (place / "drafts/07.zh.md").rename(place / "drafts/07.md")
    for ran in (
        draft(place, server),
        expand(place, "review", "07"),
        expand(place, "accept", "07"),
        expand(place, "status"),
    ):
        assert ran.code == 2
        assert "drafts/07.md: the draft is in 'zh'" in ran.err
        assert "rename it to drafts/07.zh.md" in ran.err
    assert draft_of(place) == older
    (place / "drafts/07.md").rename(place / "drafts/07.zh.md")
    sent = len(server.requests)
    assert set(statuses(draft(place, server, "--language", "zh"))) == {"reused"}
    assert len(server.requests) == sent


def test_a_chapter_that_is_called_like_the_draft_is_in_the_way(place: Path, server: ScriptedServer) -> None:
    other = (place / "outlines/07.yaml").read_text(encoding="utf-8").replace("id: 07", 'id: "07.zh"')
    (place / "outlines/07.zh.yaml").write_text(other, encoding="utf-8")
    assert expand(place, "chapter", "07.zh", "--base-url", server.base_url).code in (0, 5)
    drafted = draft_of(place, "07.zh")
    ran = draft(place, server, "--language", "zh")
    assert ran.code == 2
    assert "drafts/07.zh.md: the draft is in 'en', and its name is that of the draft in 'zh'" in ran.err
    assert draft_of(place, "07.zh") == drafted
    assert draft(place, server).code in (0, 5)


def test_each_language_is_drafted_from_its_own_document_and_accepted_there(place: Path, server: ScriptedServer) -> None:
    outline(place, "source: chapters/07_signals.md", MAPPED)
    (place / "zh").mkdir()
    (place / "zh/07.md").write_text("# 信号与管道\n\n## 命名管道\n\n管道比打开它的进程活得更久。\n", encoding="utf-8")
    assert expand(place, "outline", "check", "07").code in (0, 5)
    english, chinese = (place / "chapters/07_signals.md").read_bytes(), (place / "zh/07.md").read_bytes()
    draft(place, server)
    draft(place, server, "--language", "zh")
    assert "管道比打开它的进程活得更久。" in draft_of(place, "07.zh")
    assert "A named pipe outlives" not in draft_of(place, "07.zh")
    assert "A named pipe outlives" in draft_of(place)

    assert expand(place, "accept", "07").code == 0
    done = expand(place, "accept", "07", "--language", "zh", "--json")
    assert [one["source"] for one in done.json["accepted"]] == ["zh/07.md"]
    assert (place / "zh/07.md").read_text(encoding="utf-8") == document_text(draft_of(place, "07.zh"))
    assert (place / "chapters/07_signals.md").read_text(encoding="utf-8") == document_text(draft_of(place))
    sent = len(server.requests)
    assert set(statuses(draft(place, server))) == {"reused"}
    assert set(statuses(draft(place, server, "--language", "zh"))) == {"reused"}
    assert len(server.requests) == sent

    assert expand(place, "accept", "07", "--undo", "--language", "en").code == 0
    assert (place / "chapters/07_signals.md").read_bytes() == english
    assert (place / "zh/07.md").read_bytes() != chinese
    assert expand(place, "accept", "07", "--undo").code == 0
    assert (place / "zh/07.md").read_bytes() == chinese
    assert "nothing was accepted" in expand(place, "accept", "07", "--undo").err


def test_a_draft_is_not_accepted_over_a_document_in_another_language(place: Path, server: ScriptedServer) -> None:
    draft(place, server, "--language", "zh")
    before = (place / "chapters/07_signals.md").read_bytes()
    ran = expand(place, "accept", "07")
    assert (ran.code, ran.out) == (2, "")
    assert "outlines/07.yaml: chapter 07 has no document in 'zh'" in ran.err
    assert "source: {en: chapters/07_signals.md, zh: PATH}" in ran.err
    assert (place / "chapters/07_signals.md").read_bytes() == before
    # One that is in Chinese is the place of a Chinese draft, as the only document that there is.
    (place / "chapters/07_signals.md").write_text("# 信号与管道\n\n管道比打开它的进程活得更久。\n", encoding="utf-8")
    draft(place, server, "--language", "zh")
    assert expand(place, "accept", "07").code == 0


def test_mistakes_in_a_mapping_of_documents(place: Path) -> None:
    outline(place, "source: chapters/07_signals.md", "source: {en: ../07.md, Zh: zh/07.md, zh: chapters}")
    outline(place, "lines: 22, target", "lines: 22, source: {zh: drafts/07.md}, target", "book")
    ran = expand(place, "outline", "check", "07")
    assert (ran.code, ran.out) == (2, "")
    assert 'outlines/07.yaml:3:14: source: en "../07.md" leaves the workspace' in ran.err
    assert "give a language code such as en or zh" in ran.err
    assert 'outlines/07.yaml:3:42: source "chapters" is a folder' in ran.err
    assert 'outlines/book.yaml:12:81: chapter 2: source: zh "drafts/07.md" is a file of the tool' in ran.err
