"""Lengths that an outline states in words or Chinese characters, and prose that is wrapped otherwise than usual."""

from __future__ import annotations

import asyncio
import json
import re
import textwrap
from collections import Counter
from collections.abc import Callable
from itertools import groupby, product
from pathlib import Path

import pytest
from scripted_server import ScriptedServer
from workspaces import OUTLINE, expand, shipped, small

from expand import RunResult, Workspace, expand_chapter
from expand.checks.requirements import wrong_length
from expand.markdown import lines
from expand.outline import Plan, Section, Text, under
from expand.testing import ScriptedAuthor, SentRequest
from expand.testing.scripted_author import Script

STATED = re.compile(r"(\d+)\s*(lines|行|words|字)")


def outlined(folder: Path, *changes: tuple[str, str]) -> Workspace:
    """The small workspace with another outline."""
    text = OUTLINE
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    small(folder)
    (folder / "outlines" / "07.yaml").write_text(text, encoding="utf-8")
    return Workspace.open(folder)


def drafted(workspace: Workspace, author: ScriptedAuthor, language: str = "en", model: str = "gpt-4.1") -> RunResult:
    made = expand_chapter(workspace, "07", author=author, model=model, language=language, brief=False, read=False)
    return asyncio.run(made)


def of_section(workspace: Workspace, number: int, draft_name: str = "07") -> str:
    draft = workspace.draft(draft_name)
    assert draft is not None
    return draft.sections[number]


def test_a_section_in_words_is_asked_for_and_counted_in_words(tmp_path: Path) -> None:
    workspace = outlined(
        tmp_path, ("    lines: 40\n    topics:\n      - {en: B", "    words: 600\n    topics:\n      - {en: B")
    )
    author = ScriptedAuthor()
    result = drafted(workspace, author)
    units = {sent.section: STATED.findall(sent.last_user_message)[-1][1] for sent in author.requests}
    assert units == {1: "words", 2: "lines", 3: "lines"}
    assert "a word is what stands between spaces" in author.requests[0].prompt_text
    assert result.chapter.length_score >= 95
    first, second, _ = json.loads(json.dumps(result.as_json()))["chapters"][0]["sections"]
    said = len([word for word in of_section(workspace, 1).split() if any(map(str.isalnum, word))])
    assert first["words"] == said == pytest.approx(600, rel=0.05)
    assert first["target_words"] == 600
    assert "words" not in second
    shown = expand(tmp_path, "review", "07").out
    assert f"{said} words   600 words" in shown
    assert f"| {said} words | 600 words |" in expand(tmp_path, "review", "07", "--format", "markdown").out
    assert re.search(r"of 120 lines, length score", shown), "the other sections count lines"


def test_a_chapter_in_words_is_shown_in_words(tmp_path: Path) -> None:
    changes = [(f"    lines: {one}\n", f"    words: {one * 10}\n") for one in (40, 20)]
    outlined(tmp_path, ("target_lines: 100", "words: 1000"), *changes)
    with ScriptedServer() as server:
        ran = expand(tmp_path, "chapter", "07", "--base-url", server.base_url)
    assert "3 sections: 3 to draft (1,000 words)" in ran.err
    assert re.search(r"07/1: drafted, \d+ of 400 words: Signal handling", ran.err)
    assert " lines" not in ran.err + ran.out
    shown = expand(tmp_path, "review", "07").out
    assert re.search(r"drafts/07.md: \d+ of 1,000 words, length score", shown)


def test_a_chapter_in_chinese_characters_shares_them_among_its_sections(tmp_path: Path) -> None:
    changed = ("target_lines: 100", "字数: 2000"), ("    lines: 40\n", ""), ("    lines: 20\n", "    characters: 500\n")
    workspace = outlined(tmp_path, *changed)
    assert [section.characters for section in workspace.outline("07").sections] == [750, 750, 500]
    author = ScriptedAuthor()
    result = drafted(workspace, author, "zh")
    assert {STATED.findall(sent.last_user_message)[-1][1] for sent in author.requests} == {"字"}
    assert result.chapter.length_score >= 95
    for number, wanted in ((1, 750), (3, 500)):
        text = of_section(workspace, number, "07.zh")
        said = len(re.findall(r"[\u4e00-\u9fff]|[A-Za-z0-9.#(){}+*;:>=_-]*[A-Za-z0-9][^\s\u4e00-\u9fff]*", text))
        assert said == pytest.approx(wanted, rel=0.1)
    (english,) = [section.goal("en") for section in workspace.outline("07").sections[:1]]
    assert english == (round(750 / 1.6), "words")


def test_stating_other_words_drafts_that_section_again(tmp_path: Path) -> None:
    line, words = "    lines: 20\n", "    lines: 20\n    words: {}\n"
    workspace = outlined(tmp_path, (line, words.format(300)))
    drafted(workspace, ScriptedAuthor())
    again = drafted(outlined(tmp_path, (line, words.format(600))), ScriptedAuthor())
    assert [section.status for section in again.chapter.sections] == ["reused", "reused", "drafted"]


def test_a_lean_plan_scales_words() -> None:
    sections = tuple(Section(number=number, title=Text(plain="S"), lines=300, words=3000) for number in range(1, 4))
    outline = Workspace.open(Path(__file__).parents[1]).outline("03")._replace(sections=sections)
    assert [(s.lines, s.words) for s in under(Plan.LEAN, outline).sections] == [(150, 1500)] * 3


def test_a_strong_author_is_asked_for_the_words_that_a_section_lacks(tmp_path: Path) -> None:
    workspace = outlined(
        tmp_path, ("    lines: 40\n    topics:\n      - {en: B", "    words: 300\n    topics:\n      - {en: B")
    )
    author = ScriptedAuthor()
    drafted(workspace, author)
    first = next(sent for sent in author.requests if sent.section == 1)
    assert STATED.findall(first.last_user_message)[-1] == ("290", "words"), "its headings have the others"


@pytest.mark.parametrize(("count", "kind"), [(94, "short"), (95, ""), (120, ""), (121, "long")])
def test_lengths_in_words_have_the_same_bounds(count: int, kind: str) -> None:
    text = "\n".join(f"word{number}" for number in range(count))
    found = wrong_length(text, section=1, target=100, unit="words")
    assert [one.kind for one in found] == [kind] * bool(kind)
    assert all(f"{count} of 100 words" in one.message for one in found)


def test_outline_check_names_words_that_do_not_add_up(tmp_path: Path) -> None:
    outlined(tmp_path, ("target_lines: 100", "words: 900"), ("    lines: 20\n", "    words: 1000\n"))
    ran = expand(tmp_path, "outline", "check", "07")
    assert ran.code == 0
    assert "the sections add up to 1,000 words, the chapter says 900" in ran.out + ran.err


def test_a_section_without_any_length_is_refused(tmp_path: Path) -> None:
    outlined(tmp_path, ("    lines: 20\n", ""))
    ran = expand(tmp_path, "outline", "check", "07")
    assert ran.code == 2
    assert 'section 3: the key "lines" is missing; add lines: 150, or words or characters' in ran.out + ran.err


SENTENCES = [
    f"The {who} keeps {what} {how}, and nobody {number} else {does} it before request {number * 7} comes in."
    for number, (who, what, how, does) in enumerate(
        product(
            ("parent", "worker", "kernel", "shell"),
            ("one buffer", "the exit status", "its open files"),
            ("for each child", "under a lock", "without a copy"),
            ("reads", "closes", "waits for"),
        )
    )
]
NORMAL = "\n\n".join("\n".join(SENTENCES[at : at + 6]) for at in range(0, 60, 6)) + "\n"


def wrapped(width: int) -> str:
    return "\n\n".join(textwrap.fill(part, width) for part in NORMAL.split("\n\n")) + "\n"


def test_prose_counts_alike_however_it_is_wrapped() -> None:
    assert lines.effective(NORMAL) == lines.count(NORMAL) == 69
    assert lines.effective(wrapped(40)) == 69
    assert lines.effective(wrapped(10_000)) == 69
    assert lines.effective(wrapped(80)) == lines.count(wrapped(80)), "usual lines are counted as they are"


@pytest.mark.parametrize(("width", "counted"), [(50, 2), (51, 3)])
def test_prose_is_narrow_up_to_50_columns(width: int, counted: int) -> None:
    rows = ["a" * width, "b" * width, "c" * 40 + "."]
    assert lines.effective("\n".join(rows)) == (1 if width == 50 else 3), counted


@pytest.mark.parametrize(("columns", "counted"), [(240, 1), (241, 5)])
def test_a_line_holds_a_paragraph_above_240_columns(columns: int, counted: int) -> None:
    sentences = [f"{letter * 50}." for letter in "ABCD"]
    last = columns - sum(map(len, sentences))
    assert lines.effective(" ".join([*sentences, "E" * (last - 1) + "."])) == counted


def test_lines_that_their_author_ended_are_no_wrapped_prose() -> None:
    for text in (
        "Name: expand  \nLicence: Apache-2.0 or whatever else it is  \nVersion: 0.1.0.\n",
        "It waits for the first child to end.\nThen it reads the status of the other.\nIt ends.\n",
        "- one item about the parent process\n- one item about the child process\n- the end.\n",
        "line one of this text here\nline two of this text here\nline three of this text here\n",
    ):
        assert lines.effective(text) == lines.count(text)


def test_words_are_what_spaces_part_and_single_chinese_characters() -> None:
    text = "## Read it\n\n- use `perf stat -e cycles` — twice\n\n用 perf 命令\n\n```rust\nlet a = b.c(d);\n```\n"
    assert lines.words(text) == 2 + 6 + 4 + 4
    assert lines.words(f"{SENTENCES[0]}\n\n{SENTENCES[0]}\n") == lines.words(SENTENCES[0]), "said again, not counted"


Rows = Callable[[list[str]], list[str]]


def at_40(prose: list[str]) -> list[str]:
    return textwrap.wrap(" ".join(prose), 40)


def in_paragraphs(prose: list[str]) -> list[str]:
    """A paragraph a line, of 900 characters or what there is."""
    texts = [""]
    for sentence in prose:
        if len(texts[-1]) + len(sentence) > 900:
            texts.append("")
        texts[-1] = f"{texts[-1]} {sentence}".strip()
    return [row for text in texts for row in (text, "")][:-1]


def rewritten(text: str, prose: Rows) -> str:
    """A text with its prose on other lines; headings and code stay."""
    rows: list[str] = []
    for is_prose, part in groupby(re.split(r"(```.*?```|\n\n|^#.*$)", text, flags=re.S | re.M), _is_prose):
        text = "".join(part)
        rows += prose(text.strip().splitlines()) if is_prose else [text]
    return "\n".join(rows) + "\n"


def _is_prose(part: str) -> bool:
    return bool(part.strip()) and not part.startswith(("#", "```"))


def wrapping(prose: Rows | None) -> ScriptedAuthor:
    """The usual author, whose prose is wrapped otherwise."""
    script = Script()

    def write(sent: SentRequest) -> str:
        text = script.written(sent)[0]
        return text if prose is None or sent.purpose == "brief" else rewritten(text, prose)

    return ScriptedAuthor(write=write)


@pytest.mark.parametrize("language", ["en", "zh"])
def test_score_and_cost_do_not_depend_on_how_prose_is_wrapped(tmp_path: Path, language: str) -> None:
    found = []
    for name, prose in (("usual", None), ("narrow", at_40), ("wide", in_paragraphs)):
        folder = shipped(tmp_path / name)
        made = expand_chapter(
            Workspace.open(folder), "03", author=wrapping(prose), model="gpt-4.1", language=language, read=False
        )
        result = asyncio.run(made)
        assert result.exit_code == 0, result.chapter.every_finding
        found.append((result.chapter.length_score, sum(section.usage.total for section in result.chapter.sections)))
    (usual_score, usual_cost), *others = found
    for score, cost in others:
        assert score == pytest.approx(usual_score, rel=0.1)
        assert cost == pytest.approx(usual_cost, rel=0.1)


def padding(rows: Callable[[int, int], list[str]]) -> ScriptedAuthor:
    """An author who brings as many lines as are asked for, and nothing on them."""
    said = Counter[int]()

    def write(sent: SentRequest) -> str:
        if sent.purpose == "brief":
            return Script().written(sent)[0]
        heads = sent.headings or ("",)
        size = max(3, sent.asked_lines // len(heads) - 2)
        text = ""
        for head in heads:
            text += f"### {head}\n\n" * (len(heads) > 1) + "\n".join(rows(said[sent.section], size)) + "\n\n"
            said[sent.section] += size
        return text

    return ScriptedAuthor(write=write)


PLENTY = "process signal pipe scheduler kernel buffer counter socket thread mutex".split()  # noqa: SIM905


@pytest.mark.parametrize("model", ["gpt-4.1", "gpt-4o-mini"])
@pytest.mark.parametrize(
    "rows",
    [
        lambda first, size: [f"{PLENTY[at % 10]}{at}" for at in range(first, first + size)],
        lambda first, size: [f"{PLENTY[at % 10].title()}{at}." for at in range(first, first + size)],
        lambda first, size: [f"{at}. Step {at}" for at in range(first + 1, first + size + 1)],
        lambda first, size: [f"- {PLENTY[at % 10]} {at}" for at in range(first, first + size)],
        lambda first, size: ["```rust", *(f"// case {first + at} is like that" for at in range(size - 2)), "```"],
        lambda first, size: ["```rust", *(["{", "}"] * size)[: size - 2], "```"],
    ],
    ids=["a word", "a word and a stop", "steps", "bullets", "comments", "brackets"],
)  # fmt: skip
def test_lines_that_carry_nothing_do_not_keep_the_contract(
    tmp_path: Path, model: str, rows: Callable[[int, int], list[str]]
) -> None:
    made = expand_chapter(Workspace.open(small(tmp_path)), "07", author=padding(rows), model=model, read=False)
    result = asyncio.run(made)
    assert result.exit_code == 5
    named = {finding.kind for finding in result.chapter.every_finding if finding.severity != "note"}
    assert named & {"thin", "short"}, named


TOPICS = (
    "    topics:\n      - {en: Blocking signals, zh: 阻塞信号}\n      - {en: Handler safety, zh: 处理函数的安全}\n",
    "    topics:\n      - {en: Blocking signals, zh: 阻塞信号, lines: 30}\n"
    "      - {title: Handler safety, lines: 10}\n",
)


def test_topics_share_a_section_as_the_outline_says(tmp_path: Path) -> None:
    workspace = outlined(tmp_path, TOPICS)
    first = workspace.outline("07").sections[0]
    assert first.topic_lines == (30, 10)
    assert [topic.say("zh") for topic in first.topics] == ["阻塞信号", "Handler safety"]
    author = ScriptedAuthor()
    drafted(workspace, author)
    said = author.requests[0].last_user_message
    shares = re.search(r"In this order they get about (\d+), (\d+) lines\.", said)
    assert shares is not None
    assert int(shares[1]) == pytest.approx(3 * int(shares[2]), abs=3)
    assert sum(map(int, shares.groups())) == pytest.approx(author.requests[0].asked_lines, abs=1)
    again = drafted(outlined(tmp_path), ScriptedAuthor())
    assert [section.status for section in again.chapter.sections] == ["drafted", "reused", "reused"]


def test_a_topic_without_a_title_is_refused_and_too_many_lines_are_named(tmp_path: Path) -> None:
    outlined(tmp_path, (TOPICS[0], TOPICS[1].replace("title: Handler safety, ", "")))
    ran = expand(tmp_path, "outline", "check", "07")
    assert ran.code == 2
    assert "section 1: topic 2 has no title; add title, or a text for each language" in ran.out + ran.err
    outlined(tmp_path, (TOPICS[0], TOPICS[1].replace("lines: 10", "lines: 11")))
    ran = expand(tmp_path, "outline", "check", "07")
    assert "the topics of section 1 add up to 41 lines, it has 40; they share those in proportion" in ran.out + ran.err
