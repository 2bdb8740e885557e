"""The read-through: a model reads the whole draft, and what it finds is mended in the lines that it quotes."""

from __future__ import annotations

import asyncio
import json
import re
import threading
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from behaviours import Behaviour, BehaviourServer, Call, Reply
from behaviours.server import answer, stream_reply
from workspaces import ZH_TITLES, draft_of, expand, finished, rows, small, start

from expand import (
    Answer,
    AttemptFailedError,
    ChapterResult,
    Event,
    Failure,
    Finding,
    InputError,
    RunResult,
    Workspace,
    accept,
    dry_run,
    expand_chapter,
    read_draft,
    review,
)
from expand.document import draft as document
from expand.drafting.read_through import MOST_FINDINGS, MOST_SAID, READ_KINDS, parsed
from expand.ledger import verify
from expand.llm.types import Finish
from expand.testing import ScriptedAuthor, SentRequest
from expand.testing.scripted_author import Script

PLANTED: Mapping[int, Sequence[str]] = {
    1: (
        "A supervisor starts 3 workers at boot.",
        "A mask is the set of signals that the kernel holds back from a thread.",
        "With it, a handler returns 37.5 % sooner.",
    ),
    2: (
        "At boot, 4 workers are started by the supervisor.",
        "Section 3 shows the whole listing.",
        "| call | waits |\n| --- | --- |\n| open | yes |",
    ),
    3: (
        "But first, let us open the box.",
        "Signals which a thread does not get for now make up what is called its mask.",
    ),
}
"""Lines with faults, by section."""


def entry(kind: str, section: int, quote: str, problem: str, *edits: tuple[int, str, str]) -> dict[str, Any]:
    made = [{"section": number, "quote": old, "text": new} for number, old, new in edits]
    return {"kind": kind, "section": section, "quote": quote, "problem": problem, "edits": made}


FIVE = [
    entry("contradiction", 1, PLANTED[1][0], "Section 2 says 4.", (2, PLANTED[2][0], "Its 3 workers run by now.")),
    entry("wrong-pointer", 2, PLANTED[2][1], "Section 3 has no listing.", (2, "Section 3 shows", "Section 1 shows")),
    entry(
        "repeated-explanation", 3, PLANTED[3][1], "Section 1 explains masks.",
        (3, PLANTED[3][1], "Section 1 says what a mask is."),
    ),
    entry(
        "unsupported-figure", 1, PLANTED[1][2], "Nothing measures it.",
        (1, "returns 37.5 % sooner", "returns sooner"),
    ),
    entry("seam", 3, PLANTED[3][0], "No box was spoken of.", (3, PLANTED[3][0], "These are the rules in short.")),
]  # fmt: skip
MENDED = {
    PLANTED[2][0]: "Its 3 workers run by now.",
    "Section 3 shows": "Section 1 shows",
    PLANTED[3][1]: "Section 1 says what a mask is.",
    "returns 37.5 % sooner": "returns sooner",
    PLANTED[3][0]: "These are the rules in short.",
}

Reviews = Callable[[SentRequest], str | Answer | AttemptFailedError]


def reader(
    findings: Sequence[dict[str, Any]] | Reviews = (),
    *,
    rejects: Sequence[int] = (),
    planted: Mapping[int, Sequence[str]] = PLANTED,
) -> ScriptedAuthor:
    """Writes sections with planted lines at their ends, reports ``findings``, and confirms all but ``rejects``."""
    script = Script()

    def write(sent: SentRequest) -> str | Answer | AttemptFailedError:
        if sent.purpose != "review":
            text = script.written(sent)[0]
            own = "\n".join(planted.get(sent.section, ())).split("\n")
            return "\n".join([*text.rstrip("\n").split("\n")[: -2 * len(own)], *("\n\n".join(own)).split("\n"), ""])
        if "Finding 1 (" in sent.last_user_message:
            numbers = sorted({int(n) for n in re.findall(r"^Finding (\d+) ", sent.last_user_message, re.MULTILINE)})
            return json.dumps({"verdicts": [{"finding": n, "confirmed": n not in rejects} for n in numbers]})
        return findings(sent) if callable(findings) else json.dumps({"findings": list(findings)})

    return ScriptedAuthor(write=write)


def drafted(place: Path, **options: Any) -> Path:
    """Chapter 07 drafted, and not read."""
    run(place, reader(), brief=False, read=False, **options)
    return place


def run(place: Path, author: ScriptedAuthor, **options: Any) -> RunResult:
    return asyncio.run(expand_chapter(Workspace.open(place), "07", author=author, model="gpt-4.1", **options))


def read(place: Path, author: ScriptedAuthor, **options: Any) -> ChapterResult:
    """The chapter's result after a read-through."""
    opened = Workspace.open(place)
    asyncio.run(read_draft(opened, "07", author=author, model="gpt-4.1", **options))
    return review(opened, "07")


def text_of(place: Path, draft: str = "07") -> str:
    """The draft without its hidden line."""
    return document.document_text(draft_of(place, draft))


def found(result: ChapterResult, severity: str | None = None) -> list[Finding]:
    return [f for f in result.every_finding if f.kind in READ_KINDS and severity in (None, f.severity)]


def purposes(author: ScriptedAuthor) -> list[str]:
    return [sent.purpose for sent in author.requests]


def test_five_planted_faults_are_mended_in_their_lines(tmp_path: Path) -> None:
    place = drafted(small(tmp_path))
    before = text_of(place)
    assert all(before.count(old) == 1 for old in MENDED)
    author = reader(FIVE)
    result = read(place, author)
    wanted = before
    for old, new in MENDED.items():
        wanted = wanted.replace(old, new)
    assert text_of(place) == wanted  # and every other byte as it was
    assert [(sent.section, sent.purpose) for sent in author.requests] == [(0, "review")] * 2
    assert author.requests[0].last_user_message.count(PLANTED[1][0]) == 1
    assert "## 1. Signal handling" not in author.requests[1].last_user_message  # the draft is sent once
    around = f"{PLANTED[1][1]}\n\n{PLANTED[1][2]}"
    assert f"As it stands:\n<<<\n{around}" in author.requests[1].last_user_message  # two lines above, too
    ((attempts, tokens),) = rows(
        place, "SELECT count(*), sum(prompt + completion) FROM attempt WHERE purpose = 'review'"
    )
    assert attempts == 2
    assert tokens > 0
    assert verify(Workspace.open(place).ledger_path).findings == ()
    notes = found(result)
    assert sorted(one.kind for one in notes) == sorted(one["kind"] for one in FIVE)
    assert all(one.severity == "note" and one.message.startswith("mended: ") for one in notes)
    draft = document.read(draft_of(place))
    for one in notes:
        line = draft.sections[one.section].split("\n")[one.line - 1]
        assert any(new in line for new in MENDED.values()) or PLANTED[1][0] in line  # where the contradiction is told
    assert [section.status for section in result.sections] == ["reused"] * 3


def test_nothing_is_asked_again_where_nothing_changed(tmp_path: Path) -> None:
    place = drafted(small(tmp_path))
    first = read(place, reader(FIVE))
    once = draft_of(place)
    again = reader(lambda _: pytest.fail("asked again"))
    assert read(place, again) == first
    assert draft_of(place) == once
    ran = run(place, again)
    assert ran.attempts == 0
    assert [section.status for section in ran.chapter.sections] == ["reused"] * 3
    assert found(ran.chapter) == found(first) == found(review(Workspace.open(place), "07"))
    accepted = accept(Workspace.open(place), "07", force=True)
    assert "Its 3 workers run by now." in accepted.accepted[0].diff


def test_a_draft_that_is_made_again_is_mended_again_for_nothing(tmp_path: Path) -> None:
    place = drafted(small(tmp_path))
    read(place, reader(FIVE))
    once = draft_of(place)
    (place / "drafts/07.md").unlink()
    author = reader(FIVE)
    assert run(place, author, brief=False, read=True).attempts == 0
    assert draft_of(place) == once


def test_a_reader_that_finds_nothing_changes_nothing(tmp_path: Path) -> None:
    place = drafted(small(tmp_path))
    before = draft_of(place)
    author = reader()
    result = read(place, author)
    assert purposes(author) == ["review"]
    assert draft_of(place) == before
    assert found(result) == []


LIES = [
    entry("seam", 1, "A line that is not there.", "It is abrupt.", (1, "A line that is not there.", "Now it is.")),
    entry("seam", 7, PLANTED[1][0], "No such section.", (7, "No such line either.", "Now it is.")),
    entry("seam", 1, "", "It quotes nothing.", (1, "", "Text from nowhere.")),
    entry("contradiction", 1, PLANTED[1][0], "Half of it is nowhere.", (1, PLANTED[1][0], "Gone."), (2, "x y z", "")),
    entry("seam", 2, "## 2. Named pipes", "A heading.", (2, "## 2. Named pipes", "## 2. Pipes")),
    entry("seam", 2, "std::fs::File::open(path)", "Not its own.", (2, "std::fs::File::open(path)", "todo!()")),
    entry("seam", 2, PLANTED[2][1], "Worse.", (2, PLANTED[2][1], "TODO: show the listing.")),
    entry("seam", 2, PLANTED[2][1], "Open.", (2, PLANTED[2][1], "```rust\nfn open() {")),
    entry("seam", 2, PLANTED[2][1], "Hidden.", (2, PLANTED[2][1], "Opened.\n\n<!-- and all below it")),
    entry("seam", 2, PLANTED[2][1], "Forged.", (2, PLANTED[2][1], "Opened.\n\n<!-- expand language=en plan=full -->")),
    entry("seam", 2, PLANTED[2][0], "The same.", (2, PLANTED[2][0], PLANTED[2][0])),
    entry("seam", 1, "### 1.1 Blocking signals", "Another heading.", (1, "signals\n", "sig\n")),
]  # fmt: skip


def test_lies_harm_nothing(tmp_path: Path) -> None:
    place = drafted(small(tmp_path))
    before = draft_of(place)
    told: list[str] = []
    result = read(place, reader(LIES))
    assert draft_of(place) == before
    told = [one.message for one in found(result)]
    assert not any("quotes nothing" in one or "It is abrupt" in one for one in told)
    assert any("its edit would change a heading or the author's own text" in one for one in told)
    assert any("with its edit the checks find more: " in one and "placeholder" in one for one in told)
    assert any("its edit changes nothing" in one for one in told)
    for problem in ("Open.", "Hidden.", "Forged."):
        assert any(f"{problem} (not mended: its edit would hide what stands below it)" in one for one in told)
    assert any("Half of it is nowhere. (not mended: it names no lines)" in one for one in told)


def test_a_quote_that_stands_there_twice_is_not_replaced(tmp_path: Path) -> None:
    place = drafted(small(tmp_path))
    before = draft_of(place)
    result = read(place, reader([entry("seam", 1, "signal", "Which?", (1, "signal", "thing"))]))
    assert draft_of(place) == before
    (one,) = found(result, "warning")
    assert re.search(r"not mended: the lines to be replaced stand there \d+ times", one.message)


def test_what_a_second_look_rejects_stays(tmp_path: Path) -> None:
    place = drafted(small(tmp_path))
    before = text_of(place)
    result = read(place, reader(FIVE, rejects=[1, 3, 4, 5]))
    assert text_of(place) == before.replace("Section 3 shows", "Section 1 shows")
    rejected = [one for one in found(result) if "a second look does not confirm it" in one.message]
    assert sorted(one.kind for one in rejected) == sorted(FIVE[n]["kind"] for n in (0, 2, 3, 4))
    assert {one.severity for one in rejected} == {"note"}


def test_the_second_look_is_told_why_nothing_is_changed(tmp_path: Path) -> None:
    place = drafted(small(tmp_path))
    author = reader([
        entry("seam", 1, "## 1. Signal handling", "It is about masks.", (1, "Signal handling", "Masks")),
        entry("unkept-promise", 1, PLANTED[1][2], "No handler is shown."),
        FIVE[0],
    ])  # fmt: skip
    read(place, author)
    looks = author.requests[-1].last_user_message.split("\nFinding ")[1:]
    refused = "Nothing is changed, because its edit would change a heading or the author's own text: judge only whether"
    assert [refused in look for look in looks] == [True, False, False]
    assert ["Nothing is changed: judge only whether" in look for look in looks] == [False, True, False]
    assert ["As it would be:" in look for look in looks] == [False, False, True]


def test_a_finding_without_a_cure_is_a_warning(tmp_path: Path) -> None:
    place = drafted(small(tmp_path))
    result = read(place, reader([entry("Unkept Promise", 1, PLANTED[1][2], "No handler is shown.")]))
    (one,) = found(result)
    assert (one.kind, one.section, one.severity) == ("unkept-promise", 1, "warning")
    line = document.read(draft_of(place)).sections[1].split("\n")[one.line - 1]
    assert line == PLANTED[1][2]
    assert not result.kept


def test_a_later_run_tells_what_a_review_has_found_since(tmp_path: Path) -> None:
    place = drafted(small(tmp_path))
    assert not found(run(place, reader(), brief=False, read=False).chapter)
    result = read(place, reader([entry("seam", 1, PLANTED[1][0], "Abrupt.")]))
    later = run(place, reader(), brief=False, read=False)
    assert later.attempts == 0
    assert found(later.chapter, "warning") == found(result) != []


def test_a_section_that_a_person_edited_is_not_changed(tmp_path: Path) -> None:
    place = drafted(small(tmp_path))
    path = place / "drafts/07.md"
    path.write_text(draft_of(place).replace("Section 3 shows the", "Section 3 shows my"), encoding="utf-8")
    before = text_of(place)
    edit = entry("wrong-pointer", 2, "Section 3 shows my", "None.", (2, "Section 3 shows", "Section 1 shows"))
    told = entry("seam", 2, "Section 3 shows my", "Only told.")
    result = read(place, reader([edit, FIVE[0], FIVE[3], told]))
    assert text_of(place) == before.replace("returns 37.5 % sooner", "returns sooner")
    by_hand = [one for one in found(result) if "the section was edited by hand" in one.message]
    assert sorted(one.kind for one in by_hand) == ["contradiction", "seam", "wrong-pointer"]
    assert {one.severity for one in by_hand} == {"note"}
    assert [section.status for section in result.sections] == ["reused", "edited", "reused"]


def test_a_change_by_hand_makes_the_draft_unread(tmp_path: Path) -> None:
    place = drafted(small(tmp_path))
    read(place, reader([entry("seam", 1, PLANTED[1][0], "Abrupt."), entry("seam", 2, PLANTED[2][0], "Abrupt too.")]))
    path = place / "drafts/07.md"
    path.write_text(draft_of(place).replace(PLANTED[1][0], "A supervisor starts three."), encoding="utf-8")
    assert [one.section for one in found(review(Workspace.open(place), "07"))] == [2]
    author = reader()
    assert run(place, author).attempts == 0  # by itself only what was drafted is read
    assert found(read(place, author)) == []
    assert purposes(author) == ["review"]


OPENINGS = {1: "Deals with signals, which come first.", 3: "Rules, in short."}
NEW_OPENINGS = {1: "Signals come first: everything else waits for them.", 3: "These are the rules in short."}


@pytest.mark.parametrize("layout", ["numbered", "keep"])
def test_an_opening_that_was_mended_stays_in_a_revision(tmp_path: Path, layout: str) -> None:
    place = small(tmp_path)
    outline, brief = place / "outlines/07.yaml", place / "briefs/07.yaml"
    outline.write_text(f"layout: {layout}\n" + outline.read_text(encoding="utf-8"), encoding="utf-8")
    brief.parent.mkdir()
    titles = {1: "Signal handling", 3: "Checklist"}
    lines = [f"- {{title: {titles[n]}, opening: '{said}'}}" for n, said in OPENINGS.items()]
    brief.write_text("\n".join(["sections:", *lines, ""]), encoding="utf-8")
    mends = [entry("seam", n, old, "No sentence.", (n, old, NEW_OPENINGS[n])) for n, old in OPENINGS.items()]
    run(place, reader(mends))

    def stands_there(number: int, opening: str) -> None:
        text = document.read(draft_of(place)).sections[number]
        assert text.split("\n\n")[1] == opening
        assert text.count(opening) == 1
        assert OPENINGS[number] not in text

    for number, opening in NEW_OPENINGS.items():
        stands_there(number, opening)
        author = reader()
        run(place, author, sections=[number], fresh=True, instruction="Say it in shorter sentences.")
        stands_there(number, opening)
        asked = next(sent.last_user_message for sent in author.requests if sent.purpose == "revise")
        assert f"which is printed already; write what comes after it:\n<<<\n{opening}\n>>>\n" in asked
        assert OPENINGS[number] not in asked
        shown = asked.partition("The text as it stands:\n<<<\n")[2].partition("\n>>>")[0]
        wanted = ["### Blocking signals", "### Handler safety"] if number == 1 else []
        assert [row for row in shown.split("\n") if row.startswith("### ")] == wanted
        assert not wanted or shown.startswith(wanted[0])
    # Titles that changed leave the text as it is; another opening in the brief is a wish of its own.
    text = outline.read_text(encoding="utf-8")
    outline.write_text(text.replace("en: Handler safety", "en: Safe handlers"), encoding="utf-8")
    run(place, author := reader(), read=False)
    stands_there(1, NEW_OPENINGS[1])
    assert "### " * (layout == "keep") + "Safe handlers" in text_of(place)
    assert author.requests == []
    said = brief.read_text(encoding="utf-8").replace(OPENINGS[1], "First, signals.")
    brief.write_text(said, encoding="utf-8")
    run(place, reader(), read=False)
    stands_there(1, "First, signals.")
    stands_there(3, NEW_OPENINGS[3])


def test_lines_that_go_take_the_blank_one_along(tmp_path: Path) -> None:
    place = drafted(small(tmp_path))
    before = text_of(place)
    gone = PLANTED[1][1]
    read(place, reader([entry("repeated-explanation", 1, gone, "Said before.", (1, gone, ""))]))
    assert text_of(place) == before.replace(f"{gone}\n\n", "")


def test_an_edit_may_change_the_line_that_opens_a_listing(tmp_path: Path) -> None:
    planted = {1: ("Seen.", "```rust,no_run", "fn opens_it() {}", "```"), 2: ("Seen.",), 3: ("Seen.",)}
    place = small(tmp_path)
    run(place, reader(planted=planted), brief=False, read=False)
    opened, end = '```rust,no_run title="src/a.rs"', "fn opens_it() {}\n\n```"
    mends = [
        entry("seam", 1, "```rust,no_run", "It names no file.", (1, "```rust,no_run", opened)),
        entry("seam", 1, end, "It never ends.", (1, end, "fn opens_it() {}")),
    ]
    told = [one.message for one in found(read(place, reader(mends)))]
    assert f"{opened}\n\n{end}" in draft_of(place)
    assert "mended: It names no file." in told
    assert "It never ends. (not mended: its edit would hide what stands below it)" in told


def test_two_findings_about_one_line_are_not_both_mended(tmp_path: Path) -> None:
    place = drafted(small(tmp_path))
    before = text_of(place)
    other = entry("seam", 3, PLANTED[3][0], "Twice.", (3, "open the box", "close the box"))
    result = read(place, reader([FIVE[4], other]))
    assert text_of(place) == before.replace(PLANTED[3][0], "These are the rules in short.")
    assert any("another edit changes these lines" in one.message for one in found(result, "warning"))


def test_tables_and_listings_are_quoted_and_mended(tmp_path: Path) -> None:
    place = drafted(small(tmp_path))
    before = text_of(place)
    code = next(line for line in before.splitlines() if "scaled = input" in line)
    edits = (1, code, code.replace("input", "2 * input")), (2, "| open | yes |", "| open | no |")
    result = read(place, reader([entry("wrong-statement", 1, code, "It scales twice.", *edits)]))
    assert [one.message for one in found(result)] == ["mended: It scales twice."]
    assert text_of(place) == before.replace(code, code.replace("input", "2 * input")).replace(
        "| open | yes", "| open | no"
    )


@pytest.mark.parametrize("code", [False, True])
def test_toolchains_judge_the_edits_where_code_is_checked(tmp_path: Path, code: bool) -> None:
    place = small(tmp_path)
    run(place, reader(planted={1: ("```python", "print('worker')", "```")}), brief=False, read=False)
    edit = entry("wrong-statement", 1, "print('worker')", "It returns.", (1, "print('worker')", "return 'worker'"))
    (one,) = found(read(place, reader([edit]), code=code))
    assert ("return 'worker'" in text_of(place)) != code
    assert ("with its edit the checks find more: failed-code" in one.message) == code


@pytest.mark.parametrize("layout", ["numbered", "keep"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_line_endings_and_layouts(tmp_path: Path, layout: str, newline: str) -> None:
    place = small(tmp_path)
    outline = place / "outlines/07.yaml"
    outline.write_text(f"layout: {layout}\n" + outline.read_text(encoding="utf-8"), encoding="utf-8")
    source = place / "chapters/07_signals.md"
    source.write_bytes(source.read_text(encoding="utf-8").replace("\n", newline).encode())
    drafted(place)
    before = text_of(place)
    two = entry(
        "seam",
        1,
        PLANTED[1][0],
        "Abrupt.",
        (1, f"{PLANTED[1][0]}\n\n{PLANTED[1][1]}", "It starts.\n\nA mask holds back."),
    )
    result = read(place, reader([two, *FIVE[1:]]))
    wanted = before.replace(
        f"{PLANTED[1][0]}{newline * 2}{PLANTED[1][1]}", f"It starts.{newline * 2}A mask holds back."
    )
    for old, new in list(MENDED.items())[1:]:
        wanted = wanted.replace(old, new)
    assert text_of(place) == wanted
    assert len(found(result, "note")) == 5
    assert before.count("\n") * (newline == "\r\n") == before.count("\r\n")
    assert run(place, reader()).attempts == 0


def test_a_chinese_draft(tmp_path: Path) -> None:
    place = small(tmp_path)
    planted = {1: ("监督者在启动时创建3个工作进程。",), 2: ("启动时监督者会创建4个工作进程。",)}
    run(place, reader(planted=planted), language="zh", brief=False, read=False)
    before = text_of(place, "07.zh")
    one = entry("contradiction", 1, planted[1][0], "第2节说是4个。", (2, "会创建4个工作进程", "会创建3个工作进程"))
    author = reader([one])
    result = read(place, author)
    assert text_of(place, "07.zh") == before.replace("会创建4个工作进程", "会创建3个工作进程")
    assert [f.message for f in found(result)] == ["mended: 第2节说是4个。"]
    assert result.sections[0].title == ZH_TITLES[0]
    assert "one sentence in Chinese" in author.requests[0].last_user_message


@pytest.mark.parametrize("where", ["outline", "text"])
def test_a_silenced_kind_is_neither_reported_nor_mended(tmp_path: Path, where: str) -> None:
    place = small(tmp_path)
    outline = place / "outlines/07.yaml"
    if where == "outline":
        outline.write_text("ignore: [seam]\n" + outline.read_text(encoding="utf-8"), encoding="utf-8")
    silenced = {3: ("<!-- expand: ignore seam -->", *PLANTED[3])} if where == "text" else PLANTED
    run(place, reader(planted=silenced), brief=False, read=False)
    before = draft_of(place)
    author = reader([FIVE[4]])
    assert found(read(place, author)) == []
    assert draft_of(place) == before
    assert len(author.requests) == 1


# --- answers without form --------------------------------------------------------------------------


def test_a_list_is_taken_out_of_whatever_stands_around_it() -> None:
    assert parsed('Here:\n```json\n{"findings": [{"a": 1}, {"a": 2}]}\n```') == [{"a": 1}, {"a": 2}]
    assert parsed('<think>[{"a": 0}]</think>[{"a": 1}]') == [{"a": 1}]
    assert parsed('{"findings": [{"a": 1}, {"a": 2, "b": "cut') is None
    assert parsed('{“findings”: [{"a": 1}，{"a": 2,}]}') == [{"a": 1}, {"a": 2}]
    assert parsed('{"findings": [{"a": "two\nlines"}]}') == [{"a": "two\nlines"}]
    assert parsed('{"findings": []}') == []
    assert parsed('{"findings": [') is None
    assert parsed("[1, 2] and {3}") is None
    assert parsed("[" * 100_000 + "{") is None
    assert parsed("") is None


@pytest.mark.parametrize("answer", ["I like it.", "{I like it}", ""])
def test_junk_changes_nothing(tmp_path: Path, answer: str) -> None:
    place = drafted(small(tmp_path))
    before = draft_of(place)
    author = reader(lambda _: answer)
    result = read(place, author)
    assert purposes(author) == ["review"]
    assert found(result) == []
    assert draft_of(place) == before
    again = reader(lambda _: answer)
    read(place, again)
    assert again.requests == []  # it is paid for


HOSTILE: list[Any] = [
    [{"kind": None, "section": "1", "quote": 7, "problem": [], "edits": "x"}],
    [{"section": True, "quote": PLANTED[1][0], "problem": "So.", "edits": [7, None, {"quote": {}, "text": 1}]}],
    [{"quote": PLANTED[1][0], "problem": "\ud800\u202e\x1b", "edits": []}],
    [entry("seam", 1, PLANTED[1][0], "A surrogate.", (1, PLANTED[1][0], "A mask\ud800 is \u202eset.\x00"))],
    [entry("seam", 10**30, PLANTED[1][0], "x" * 100_000)],
    [entry("seam", 1, PLANTED[1][0], f"Number {n}.") for n in range(500)],
]


@pytest.mark.parametrize("number", range(len(HOSTILE)))
def test_hostile_answers_are_taken_as_far_as_they_go(tmp_path: Path, number: int) -> None:
    place = drafted(small(tmp_path))
    result = read(place, reader(HOSTILE[number]))
    assert len(found(result)) <= MOST_FINDINGS
    assert all(len(one.message) < MOST_SAID + 100 for one in found(result))
    assert not result.blocking
    text_of(place).encode()
    json.dumps([one.message for one in found(result)])


def test_a_second_look_that_is_junk_confirms_nothing(tmp_path: Path) -> None:
    place = drafted(small(tmp_path))
    before = draft_of(place)
    made = ScriptedAuthor(answers=[json.dumps({"findings": FIVE}), "All fine, I think."])
    result = read(place, made)
    assert draft_of(place) == before
    assert len(found(result, "note")) == 5


@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize("finish", [Finish.LENGTH, Finish.CUT])
def test_a_list_that_breaks_off_is_asked_for_again(tmp_path: Path, finish: Finish, times: int) -> None:
    place, told, caps = drafted(small(tmp_path)), list[Event](), list[int]()
    before, said = draft_of(place), json.dumps({"findings": FIVE})

    def breaking(sent: SentRequest) -> str | Answer:
        caps.append(sent.request.max_output_tokens)
        return Answer(text=said[: said.rindex("{")], finish=finish, usage=None) if len(caps) <= times else said

    result = run(place, reader(breaking), brief=False, read=True, on_event=told.append)
    assert len(caps) == 2
    assert caps[1] > caps[0]
    if times == 1:
        assert len(found(result.chapter)) == 5
        return
    assert draft_of(place) == before
    assert found(result.chapter) == []
    assert any("07: not read through: the reader's list of findings breaks off" in str(event) for event in told)
    again, later = reader(breaking), list[Event]()
    run(place, again, brief=False, read=True, on_event=later.append)
    assert again.requests == []  # it is paid for
    assert any("breaks off" in str(event) for event in later)


@pytest.mark.parametrize(("share", "reads"), [(3.9, False), (4.1, True)])
def test_a_share_of_the_money_that_is_left_decides_as_well(tmp_path: Path, share: float, reads: bool) -> None:
    for name in ("probe", "book"):
        (tmp_path / name).mkdir()
        place = drafted(small(tmp_path / name))
        (place / "drafts/07.md").unlink()
    run(tmp_path / "probe", reader(), brief=False)
    (order,) = rows(tmp_path / "probe", "SELECT reserved_pico FROM attempt WHERE purpose = 'review'")
    (used,) = rows(tmp_path / "book", "SELECT sum(cost_pico) FROM attempt")
    limit = Decimal(used[0] + int(order[0] * share)) / 10**12
    book = tmp_path / "book/outlines/book.yaml"
    text = book.read_text(encoding="utf-8")
    text = text.replace("{tokens: 200000}", f"{{tokens: 200000, usd: {limit:f}}}")
    book.write_text(text.replace("tokens: 1000}", "tokens: 1000, usd: 0}"), encoding="utf-8")
    author = reader()
    run(tmp_path / "book", author, brief=False)
    assert ("review" in purposes(author)) == reads


# --- within a run ----------------------------------------------------------------------------------


def test_a_run_reads_a_chapter_by_itself_once_it_is_drafted(tmp_path: Path) -> None:
    place, author = small(tmp_path), reader(FIVE)
    result = run(place, author, brief=False)
    assert purposes(author)[-2:] == ["review", "review"]
    assert "review" not in purposes(author)[:-2]
    assert result.attempts == len(author.requests)
    assert result.answers == len(author.requests)
    assert all(new in text_of(place) for new in MENDED.values())
    assert [section.status for section in result.chapter.sections] == ["drafted"] * 3
    assert len(found(result.chapter, "note")) == 5
    draft = document.read(draft_of(place))
    assert not any(draft.edited(number) for number in (1, 2, 3))
    again = reader(lambda _: pytest.fail("asked again"))
    second = run(place, again, brief=False)
    assert second.attempts == 0
    assert found(second.chapter) == found(result.chapter)
    assert [one.lines for one in second.chapter.sections] == [one.lines for one in result.chapter.sections]


@pytest.mark.parametrize(
    ("options", "reads"),
    [({}, True), ({"read": False}, False), ({"model": "scripted"}, False), ({"model": "scripted", "read": True}, True)],
)
def test_the_readers_profile_decides_where_nobody_else_does(
    tmp_path: Path, options: dict[str, Any], reads: bool
) -> None:
    place, author = small(tmp_path), reader()
    given = {"model": "gpt-4.1", "brief": False, **options}
    asyncio.run(expand_chapter(Workspace.open(place), "07", author=author, **given))
    assert ("review" in purposes(author)) == reads


def test_the_model_of_the_role_reads(tmp_path: Path) -> None:
    place, author = small(tmp_path), reader(FIVE)
    (place / "expand.toml").write_text('[roles]\nreview = "gpt-4.1"\n', encoding="utf-8")
    asyncio.run(expand_chapter(Workspace.open(place), "07", author=author, model="scripted"))
    assert {sent.request.model for sent in author.requests if sent.purpose == "review"} == {"gpt-4.1"}
    assert {sent.request.model for sent in author.requests if sent.purpose != "review"} == {"scripted"}
    assert "response_format" in author.requests[-1].request.parameters


def test_one_section_is_not_read(tmp_path: Path) -> None:
    place, author = drafted(small(tmp_path)), reader()
    run(place, author, sections=[2], fresh=True, brief=False)
    assert "review" not in purposes(author)
    with pytest.raises(InputError, match="a read-through is of a whole chapter"):
        run(place, author, sections=[2], read=True)


def test_a_section_that_changed_has_the_chapter_read_again(tmp_path: Path) -> None:
    place = small(tmp_path)
    run(place, reader(FIVE), brief=False)
    outline = place / "outlines/07.yaml"
    outline.write_text(outline.read_text(encoding="utf-8").replace("Checklist,", "Checks,"), encoding="utf-8")
    author = reader(planted={})
    run(place, author, brief=False)
    assert purposes(author)[-1] == "review"
    assert "Its 3 workers run by now." in author.requests[-1].last_user_message


def test_what_the_budget_refuses_is_said_and_the_draft_is_there(tmp_path: Path) -> None:
    place = drafted(small(tmp_path))
    before, author = draft_of(place), reader(FIVE)
    asked = run(place, author, brief=False, read=True, budget=2_000)
    assert author.requests == []
    assert asked.exit_code == 3
    assert [(refused.chapter, refused.section) for refused in asked.refused] == [("07", 0)]
    assert draft_of(place) == before
    assert [section.status for section in asked.chapter.sections] == ["reused"] * 3


@pytest.mark.parametrize(("share", "reads"), [(3.9, False), (4.1, True)])
def test_by_itself_a_chapter_is_read_for_a_quarter_of_what_is_left(tmp_path: Path, share: float, reads: bool) -> None:
    place = drafted(small(tmp_path))
    (place / "drafts/07.md").unlink()  # made again from the ledger, for nothing
    probe = reader()
    run(small(tmp_path / "probe"), probe, brief=False)
    (order,) = rows(tmp_path / "probe", "SELECT reserved_tokens FROM attempt WHERE purpose = 'review'")
    author = reader()
    told: list[Event] = []
    result = run(place, author, brief=False, budget=int(order[0] * share), on_event=told.append)
    assert ("review" in purposes(author)) == reads
    assert result.exit_code != 3
    assert any("07: not read through: it may take" in str(event) for event in told) != reads


def test_an_unfinished_chapter_is_not_read(tmp_path: Path) -> None:
    place = small(tmp_path)
    run(place, reader(), sections=[1], brief=False)
    with pytest.raises(InputError, match="section 2 is not finished") as raised:
        read(place, reader())
    assert "expand chapter 07" in str(raised.value)
    with pytest.raises(InputError, match="there is no draft"):
        read(small(tmp_path / "none"), reader())


def test_a_reader_that_cannot_be_reached(tmp_path: Path) -> None:
    place = small(tmp_path)
    gone = AttemptFailedError(Failure.UNAUTHORIZED, "no such key")
    by_itself = run(place, reader(lambda _: gone), brief=False)
    assert by_itself.exit_code != 4
    assert by_itself.stopped_by == ""
    asked = run(place, reader(lambda _: gone), brief=False, read=True)
    assert asked.exit_code == 4
    assert "no such key" in asked.stopped_by


def test_what_was_bought_before_a_kill_is_not_bought_again(tmp_path: Path) -> None:
    place = drafted(small(tmp_path))
    before = draft_of(place)
    look = threading.Event()

    def reply(call: Call) -> Reply:
        if "Finding 1 (" not in call.last_user_message:
            return answer(call, json.dumps({"findings": FIVE}))
        first, verdicts = not look.is_set(), [{"finding": number, "confirmed": True} for number in range(1, 6)]
        look.set()
        return stream_reply([5.0]) if first else answer(call, json.dumps({"verdicts": verdicts}))

    with BehaviourServer((Behaviour(name="reads", does="", reply=reply),)) as server:
        words = ("review", "07", "--read", "--model", "reads", "--base-url", server.base_url)
        process = start(place, *words)
        assert look.wait(60)
        process.kill()
        finished(process)
        assert draft_of(place) == before
        expand(place, *words)
        assert len(server.calls["reads"]) == 3  # the draft was read once
    assert all(new in text_of(place) for new in MENDED.values())
    assert verify(Workspace.open(place).ledger_path).findings == ()


def test_a_run_goes_on_with_what_an_earlier_one_began(tmp_path: Path) -> None:
    place, own = small(tmp_path), reader(FIVE)

    def write(sent: SentRequest) -> str | Answer | AttemptFailedError:
        assert own.write is not None
        looks = "Finding 1 (" in sent.last_user_message
        return AttemptFailedError(Failure.UNAUTHORIZED, "no key") if looks else own.write(sent)

    run(place, ScriptedAuthor(write=write), brief=False)
    before, author = draft_of(place), reader(FIVE)
    run(place, author, brief=False)
    assert purposes(author) == ["review"]  # the second look
    assert all(new in text_of(place) for new in MENDED.values())
    (place / "drafts/07.md").write_bytes(before.encode())  # as if it was killed before the draft was written
    run(place, author, brief=False)
    assert len(author.requests) == 1
    assert all(new in text_of(place) for new in MENDED.values())


def test_a_draft_that_does_not_fit_the_model_is_not_read(tmp_path: Path) -> None:
    place = drafted(small(tmp_path))
    window = '[models."gpt-4.1"]\ncontext_window = {}\nmax_output_tokens = 6_000\nlines_per_request = 300\n'
    (place / "expand.toml").write_text(window.format(7_500), encoding="utf-8")
    with pytest.raises(InputError, match=r"do not fit gpt-4\.1's context window of 7,500; shorten") as raised:
        read(place, reader(FIVE))
    needed = sum(
        int(figure.replace(",", "")) for figure in re.findall(r"([\d,]+) (?:tokens|of output)", str(raised.value))
    )
    assert dry_run(Workspace.open(place), "07", model="gpt-4.1", brief=False)[-1].title != "read-through"
    (place / "expand.toml").write_text(window.format(needed - 1), encoding="utf-8")
    author = reader(FIVE)
    with pytest.raises(InputError, match="do not fit"):
        run(place, author, brief=False, read=True)
    assert author.requests == []
    (place / "expand.toml").write_text(window.format(needed), encoding="utf-8")
    read(place, author)
    assert purposes(author)[0] == "review"


def test_a_dry_run_counts_it(tmp_path: Path) -> None:
    opened = Workspace.open(small(tmp_path))
    options: dict[str, Any] = {"model": "gpt-4.1", "brief": False}
    planned = dry_run(opened, "07", **options)
    assert [(one.section, one.title, one.requests) for one in planned][-1] == (0, "read-through", 2)
    assert len(dry_run(opened, "07", read=False, **options)) == len(planned) - 1
    run(tmp_path, reader(FIVE), brief=False)
    ((reserved,),) = rows(tmp_path, "SELECT sum(reserved_tokens) FROM attempt WHERE purpose = 'review'")
    assert reserved <= planned[-1].reserved_tokens <= 2 * reserved
    assert [one.title for one in dry_run(opened, "07", **options)] == [one.title for one in planned[:-1]]
    assert dry_run(opened, "07", read=True, **options)[-1].title == "read-through"


# --- on the command line ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("chapter", "07", "--read", "--section", "1"), "leave out --read"),
        (("chapter", "07", "--read", "--batch", "submit"), "a batch reads no draft through"),
        (("review", "07", "--read", "--base-url", "http://127.0.0.1:9/v1"), "there is no draft"),
    ],
)
def test_what_cannot_be_read_is_refused(tmp_path: Path, words: tuple[str, ...], says: str) -> None:
    ran = expand(small(tmp_path), *words)
    assert ran.code == 2
    assert says in ran.err
    assert ran.out == ""


def test_review_reads_and_prints(tmp_path: Path) -> None:
    place = drafted(small(tmp_path))

    def reply(call: Call) -> Reply:
        looks = "Finding 1 (" in call.last_user_message
        verdicts = [{"finding": number, "confirmed": True} for number in range(1, 6)]
        return answer(call, json.dumps({"verdicts": verdicts} if looks else {"findings": FIVE}))

    with BehaviourServer((Behaviour(name="reads", does="", reply=reply),)) as server:
        words = ("review", "07", "--read", "--json", "--model", "reads", "--base-url", server.base_url)
        refused = expand(place, *words, "--budget", "10")
        assert refused.code == 3
        assert "07: not read through: " in refused.err
        assert refused.json["chapters"][0]["id"] == "07"
        ran = expand(place, *words)
        again = expand(place, *words)
        sent = [call.headers["X-Client-Request-Id"].split("/")[:3] for call in server.calls["reads"]]
    assert sent == [["07", "0", "review"]] * 2
    kinds = [one["kind"] for section in ran.json["chapters"][0]["sections"] for one in section["findings"]]
    assert {one["kind"] for one in FIVE} <= set(kinds)
    assert "07: read through: 5 findings, 5 mended" in ran.err
    assert "nothing has changed since" in again.err
    assert again.json == ran.json
    assert all(new in text_of(place) for new in MENDED.values())
    unreached = expand(drafted(small(tmp_path / "other")), *words)
    assert unreached.code == 4
    assert unreached.json["chapters"][0]["id"] == "07"


def test_a_run_prints_what_was_read(tmp_path: Path) -> None:
    place = small(tmp_path)
    finding = entry("unkept-promise", 3, "## 3. Checklist", "Nothing is listed.")

    def reply(call: Call) -> Reply:
        if call.purpose != "review":
            return answer(call, call.good_text())
        verdicts = json.dumps({"verdicts": [{"finding": 1, "confirmed": True}]})
        looks = "Finding 1 (" in call.last_user_message
        return answer(call, verdicts if looks else json.dumps({"findings": [finding]}))

    with BehaviourServer((Behaviour(name="reads", does="", reply=reply),)) as server:
        words = ("chapter", "07", "--json", "--model", "reads", "--base-url", server.base_url)
        ran = expand(place, *words, "--read")
        calls = len(server.calls["reads"])
        again = expand(place, *words)
        assert len(server.calls["reads"]) == calls
    (chapter,) = ran.json["chapters"]
    (told,) = [one for one in chapter["sections"][2]["findings"] if one["kind"] == "unkept-promise"]
    assert (told["section"], told["line"], told["severity"]) == (3, 1, "warning")
    assert ran.code == again.code == 5
    assert again.json["chapters"][0]["sections"][2]["findings"] == chapter["sections"][2]["findings"]
    budget = ran.json["budget"]
    assert budget["used"] + budget["reserved"] + budget["remaining"] == budget["limit"]
    assert ran.json["attempts"] == ran.json["answers"] == calls
    assert "07: read through: 1 finding, 0 mended" in ran.err
