"""Sections proposed by an author model: what is asked, bought, checked, scaled and written."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from workspaces import expand, rows, small

from expand.importers.lengths import Length
from expand.importers.proposal import LEAST_LINES, Proposal, ProposedSection, scaled
from expand.importers.suggest import SectionCount, parse_answer
from expand.scaffold import create_workspace

Json = Any


def section(title: str, lines: Json = 100, topics: Json = None) -> dict[str, Json]:
    names = [f"{title}: how", f"{title}: when"] if topics is None else topics
    return {"title": title, "lines": lines, "topics": names}


GOOD = {
    "sections": [
        section("Measuring first", 300),
        section("Profiling tools", 200, ["perf record", "Flame graphs", "strace: what it costs"]),
        section("Hot spots", 100),
        section("Tuning", 200),
        section("In production", 200),
    ]
}
TITLES = [entry["title"] for entry in GOOD["sections"]]
TWICE = {"sections": [*GOOD["sections"][:4], section("measuring first", 50, ["Again"])]}


@dataclass
class Said:
    """One answer of the author: a text, how it ended, or an HTTP status without one."""

    text: str = ""
    finish: str = "stop"
    refusal: bool = False
    status: int = 200


@dataclass
class Proposer:
    """An author on 127.0.0.1 that gives its answers in turn, the last one for ever."""

    answers: Sequence[Said]
    asked: list[dict[str, Json]] = field(default_factory=list)
    headers: list[Mapping[str, str]] = field(default_factory=list)
    base_url: str = ""

    def reply(self, number: int) -> tuple[int, dict[str, Json]]:
        said = self.answers[min(number, len(self.answers) - 1)]
        if said.status != 200:
            return said.status, {"error": {"message": "not now", "code": "no"}}
        message: dict[str, Json] = {"role": "assistant", "content": said.text}
        if said.refusal:
            message = {"role": "assistant", "content": None, "refusal": said.text}
        usage = {"prompt_tokens": 300, "completion_tokens": 100, "total_tokens": 400}
        choice = {"index": 0, "finish_reason": said.finish, "message": message}
        return 200, {"id": "x", "model": "scripted", "choices": [choice], "usage": usage}


class Author:
    def __call__(self, *answers: Said | Mapping[str, Json]) -> Proposer:
        said = [a if isinstance(a, Said) else Said(text=json.dumps(a)) for a in answers]
        proposer = Proposer(answers=said)

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                number = len(proposer.asked)
                proposer.asked.append(body)
                proposer.headers.append({k.lower(): v for k, v in self.headers.items()})
                status, answer = proposer.reply(number)
                data = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                """Silent."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        proposer.base_url = f"http://127.0.0.1:{self.server.server_port}/v1"
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()
        return proposer

    server: ThreadingHTTPServer | None = None


@pytest.fixture
def author() -> Iterator[Author]:
    made = Author()
    yield made
    if made.server is not None:
        made.server.shutdown()
        made.server.server_close()


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Chapters 01 and 07; 07 has an outline and a document."""
    return small(tmp_path)


def suggest(place: Path, proposer: Proposer, title: str, *arguments: str) -> Any:
    where = ("--base-url", proposer.base_url)
    return expand(place, "outline", "import", "--suggest", title, *where, *arguments)


def outline(place: Path, chapter: str) -> dict[str, Json]:
    text = (place / "outlines" / f"{chapter}.yaml").read_text(encoding="utf-8")
    found: dict[str, Json] = yaml.safe_load(text)
    return found


def test_a_limit_in_money_lets_a_model_without_a_price_pass_where_that_is_said(place: Path, author: Author) -> None:
    book = place / "outlines/book.yaml"
    text = book.read_text(encoding="utf-8").replace("{tokens: 200000}", "{usd: 5}")
    book.write_text(text.replace("tokens: 1000}", "tokens: 1000, usd: 0.01}"), encoding="utf-8")
    proposer = author(GOOD)
    ran = suggest(place, proposer, "Performance engineering")
    assert (ran.code, proposer.asked) == (3, [])
    assert "pass --unpriced" in ran.err
    assert suggest(place, proposer, "Performance engineering", "--unpriced", "--lines", "750").code == 0


def test_a_title_becomes_an_outline_and_a_chapter_of_the_book(place: Path, author: Author) -> None:
    proposer = author(GOOD)
    ran = suggest(place, proposer, "Performance engineering", "--lines", "750")
    assert ran.code == 0, ran.err
    written = outline(place, "08")
    assert written["title"] == {"en": "Performance engineering"}
    assert written["source"] == "chapters/08.md"
    assert written["target_lines"] == 750
    assert [s["title"]["en"] for s in written["sections"]] == TITLES
    assert [s["lines"] for s in written["sections"]] == [225, 150, 75, 150, 150]
    topics = [topic["en"] for topic in written["sections"][1]["topics"]]
    assert topics == ["perf record", "Flame graphs", "strace: what it costs"]
    assert "outlines/08.yaml: written, 5 sections, 750 lines\n" in ran.out
    assert "added to outlines/book.yaml: 08\n" in ran.out
    assert expand(place, "outline", "check", "08").code == 0
    assert expand(place, "chapter", "08", "--dry-run").code == 0
    assert rows(place, "SELECT chapter, section, purpose, state FROM attempt") == [("08", 0, "draft", "settled")]
    assert expand(place, "ledger", "verify").code == 0
    assert expand(place, "budget", "--format", "json").json["by_chapter"][-1] == {
        "id": "08", "used": 400, "estimated_remaining": pytest.approx(0, abs=10**6), "attempts": 1,
    }  # fmt: skip


def test_what_is_asked(place: Path, author: Author) -> None:
    proposer = author(GOOD)
    assert suggest(place, proposer, "Performance engineering", "--lines", "750").code == 0
    (body,) = proposer.asked
    (headers,) = proposer.headers
    chapter, number, purpose, attempt = headers["x-client-request-id"].split("/")
    assert (chapter, number, purpose, bool(attempt)) == ("08", "0", "draft", True)
    form = body["response_format"]
    assert (form["type"], form["json_schema"]["strict"]) == ("json_schema", True)
    said = body["messages"][-1]["content"]
    assert "Chapter 08: Performance engineering" in said
    assert "- Beginnings\n- Signals and pipes\n" in said
    assert "4 to 14 sections" in said
    assert said.endswith("The whole chapter has 750 lines.")


def test_the_same_question_is_not_bought_twice(place: Path, author: Author) -> None:
    proposer = author(GOOD)
    assert suggest(place, proposer, "Performance engineering").code == 0
    before = (place / "outlines" / "08.yaml").read_bytes()
    again = suggest(place, proposer, "Performance engineering", "--json")
    assert (again.code, len(proposer.asked)) == (0, 1)
    assert again.json["outlines"][0]["state"] == "same"
    assert (again.json["attempts"], again.json["answers"]) == (0, 0)
    assert (place / "outlines" / "08.yaml").read_bytes() == before
    (place / "outlines" / "08.yaml").unlink()
    assert suggest(place, proposer, "08").code == 0
    assert (place / "outlines" / "08.yaml").read_bytes() == before
    assert len(proposer.asked) == 1
    fresh = suggest(place, proposer, "08", "--fresh", "--force", "--json")
    assert (fresh.code, len(proposer.asked)) == (0, 2)
    assert expand(place, "ledger", "verify").code == 0


def test_the_first_proposal_in_an_empty_folder_is_chapter_01(tmp_path: Path, author: Author) -> None:
    create_workspace(tmp_path)
    ran = suggest(tmp_path, author(GOOD), "Performance engineering", "--lines", "750")
    assert ran.code == 0, ran.err
    assert "outlines/01.yaml: written, 5 sections, 750 lines\n" in ran.out
    assert [one["id"] for one in outline(tmp_path, "book")["chapters"]] == ["01"]


def test_an_outline_that_is_there_is_neither_overwritten_nor_paid_for(place: Path, author: Author) -> None:
    proposer = author(GOOD)
    before = (place / "outlines" / "07.yaml").read_bytes()
    ran = suggest(place, proposer, "07")
    assert ran.code == 2
    assert "outlines/07.yaml: the outline exists" in ran.err
    assert "--force changes it in place" in ran.err
    assert proposer.asked == []
    assert (place / "outlines" / "07.yaml").read_bytes() == before


def test_with_force_comments_order_and_other_languages_stay(place: Path, author: Author) -> None:
    path = place / "outlines" / "07.yaml"
    text = path.read_text(encoding="utf-8")
    text = text.replace("id: 07\n", "# Ours.\nid: 07 # as printed\n").replace(
        "  - title: {en: Named pipes", "  # Keep this one.\n  - title: {en: Named pipes"
    )
    path.write_text(text.replace("sections:", "audience: {en: Readers, zh: 读者}\nsections:"))
    kept = {"sections": [section("Reading", 10), section("Named pipes", 30, ["Opening a pipe"])]}
    ran = suggest(place, author(kept), "07", "--force", "--lines", "80")
    assert ran.code == 0, ran.err
    after = path.read_text(encoding="utf-8")
    assert "# Ours.\nid: 07 # as printed\n" in after
    assert "audience: {en: Readers, zh: 读者}\n" in after
    assert "  # Keep this one.\n  - title: {en: Named pipes, zh: 命名管道}\n" in after
    assert "- {en: Opening a pipe, zh: 打开管道}" in after
    assert [s["title"]["en"] for s in outline(place, "07")["sections"]] == [
        "Reading", "Named pipes",
    ]  # fmt: skip
    assert sum(s["lines"] for s in outline(place, "07")["sections"]) == 80
    assert "section 'Signal handling' is not in the proposal and was removed" in ran.err


def test_what_is_wrong_goes_back(place: Path, author: Author) -> None:
    words = Said(text="Here is a plan: first measure, then tune.")
    proposer = author(words, TWICE, GOOD)
    ran = suggest(place, proposer, "Performance engineering", "--json")
    assert ran.code == 0, ran.err
    assert (ran.json["attempts"], ran.json["answers"], ran.json["findings"]) == (3, 3, [])
    assert ran.json["tokens"] == {"prompt": 900, "cached": 0, "completion": 300}
    asked = [body["messages"][-1]["content"] for body in proposer.asked]
    assert "It cannot be used" not in asked[0]
    assert "<<<\nHere is a plan: first measure, then tune.\n>>>" in asked[1]
    assert "- it is no JSON object" in asked[1]
    assert "- section 5 repeats the title of section 1; change or remove one of them" in asked[2]
    assert all(text.endswith("The whole chapter has 600 lines.") for text in asked)
    assert asked[1].startswith(asked[0][: asked[0].rindex("\n\n")])


def test_an_answer_that_owes_something_is_better_than_none(place: Path, author: Author) -> None:
    ran = suggest(place, author(TWICE), "Performance engineering", "--json")
    assert ran.code == 5
    assert ran.json["findings"] == ["section 5 repeats the title of section 1; change or remove one of them"]
    titles = [s["title"]["en"] for s in outline(place, "08")["sections"]]
    assert titles == [*TITLES[:4], "measuring first (2)"]
    assert expand(place, "outline", "check", "08").code == 0


def test_always_wrong(place: Path, author: Author) -> None:
    proposer = author(Said(text='{"sections": 3}'))
    ran = suggest(place, proposer, "Performance engineering", "--json")
    assert (ran.code, len(proposer.asked)) == (4, 3)
    assert ran.json["outlines"] == []
    assert "none of 3 answers makes an outline" in ran.json["stopped_by"]
    assert not (place / "outlines" / "08.yaml").exists()
    assert "08" not in (place / "outlines" / "book.yaml").read_text()
    assert rows(place, "SELECT count(*) FROM answer") == [(3,)]
    again = suggest(place, proposer, "Performance engineering", "--json")
    assert (again.code, len(proposer.asked)) == (4, 3), "the answers are stored: nothing is sent"


def test_refused_by_the_author(place: Path, author: Author) -> None:
    proposer = author(Said(text="I can't help with that.", refusal=True))
    ran = suggest(place, proposer, "Performance engineering")
    assert (ran.code, len(proposer.asked)) == (4, 3)
    assert "the author refused: I can't help with that." in ran.err
    once = [body["messages"] for body in proposer.asked]
    assert once[0] == once[1] == once[2]


def test_an_answer_that_breaks_off_gets_more_room(place: Path, author: Author) -> None:
    proposer = author(Said(text=json.dumps(GOOD)[:200], finish="length"), GOOD)
    ran = suggest(place, proposer, "Performance engineering")
    assert ran.code == 0, ran.err
    caps = [body["max_tokens"] for body in proposer.asked]
    assert caps[1] == 2 * caps[0]
    assert "- it breaks off; give fewer topics" in proposer.asked[1]["messages"][-1]["content"]


def test_a_budget_that_does_not_do(place: Path, author: Author) -> None:
    proposer = author(GOOD)
    ran = suggest(place, proposer, "Performance engineering", "--budget", "500", "--json")
    assert (ran.code, proposer.asked) == (3, [])
    assert "this run (--budget)" in ran.json["stopped_by"]
    assert ran.json["budget"]["reserved"] == 0
    assert "the budget refused: " in ran.err
    assert not (place / "outlines" / "08.yaml").exists()


def test_an_author_that_is_not_there(place: Path, author: Author) -> None:
    ran = suggest(place, author(Said(status=401)), "Performance engineering", "--json")
    assert ran.code == 4
    assert "401" in ran.json["stopped_by"]
    assert rows(place, "SELECT state FROM attempt") == [("released",)]


def test_a_document_keeps_what_it_has(place: Path, author: Author) -> None:
    text = "# Shared memory\n\nIt is fast.\n\n## Mapping it\n\n" + "".join(f"Line {n}.\n" for n in range(90))
    (place / "chapters" / "09_shared.md").write_text(text)
    with (place / "outlines" / "book.yaml").open("a", encoding="utf-8") as book:
        book.write("  - {id: '09', title: Shared memory, source: chapters/09_shared.md}\n")
    proposer = author(
        {"sections": [section("First steps"), section("Costs")]},
        {"sections": [section("First steps", 10), section("1. Mapping it", 10)]},
    )
    ran = suggest(place, proposer, "shared memory", "--lines", "150")
    assert ran.code == 0, ran.err
    asked = [body["messages"][-1]["content"] for body in proposer.asked]
    assert "- Mapping it\n" in asked[0]
    assert "It is fast." in asked[0]
    assert "- the section 'Mapping it' of the document is missing; keep it" in asked[1]
    written = outline(place, "09")
    assert written["source"] == "chapters/09_shared.md"
    assert [(s["title"]["en"], s["lines"]) for s in written["sections"]] == [
        ("First steps", 55), ("Mapping it", 95),
    ]  # fmt: skip


def test_a_chapter_of_the_book_without_an_outline(place: Path, author: Author) -> None:
    (place / "outlines" / "07.yaml").unlink()
    ran = suggest(place, author(GOOD), "signals and PIPES", "--json")
    assert ran.code == 5, "100 lines are too few for five sections"
    assert ran.json["outlines"][0]["id"] == "07"
    assert ran.json["outlines"][0]["stated_length"] == "100 lines"
    assert ran.json["added_to_book"] == []


def test_in_another_language_and_under_an_id_of_one_s_own(place: Path, author: Author) -> None:
    names = ["测量", "工具", "热点"]
    proposer = author({"sections": [section(n, 1, [f"{n}方法", f"{n}实例"]) for n in names]})
    ran = suggest(place, proposer, "性能工程", "--id", "performance", "--lines", "450")
    assert ran.code == 0, ran.err
    written = outline(place, "performance")
    assert written["title"] == {"zh": "性能工程"}
    assert [s["title"]["zh"] for s in written["sections"]] == names
    said = proposer.asked[0]["messages"][-1]["content"]
    assert said.endswith("整章共 450 行。")
    assert "读者" not in said
    assert "程序员" in said


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--suggest", " "), "'' is no title"),
        (
            ("--suggest", "chapters/08_none.md"),
            "'chapters/08_none.md' is no title; give a chapter's title in words, or its id",
        ),
        (("--suggest", "New", "--dry-run"), "--dry-run shows what a document says"),
        (("--suggest", "07", "--id", "12"), "'07' is chapter 07 already; leave --id 12 out"),
        (("--suggest", "New", "--id", "a b"), "--id 'a b' holds a space"),
        (("--suggest", "New", "--id", "book"), "--id 'book' is taken by book.yaml"),
        (("--suggest", "New", "--language", "de"), "the book has no language 'de'"),
        (("--suggest", "New", "--model", "gpt-4.1"), "OPENAI_API_KEY is not set"),
        (("--suggest", "New", "--model", "embedded"), "smollm2-135m-instruct is too small to plan"),
    ],
)
def test_what_is_refused_before_anything_is_sent(place: Path, arguments: tuple[str, ...], message: str) -> None:
    ran = expand(place, "outline", "import", *arguments)
    assert ran.code == 2
    assert message in ran.err
    assert ran.out == ""
    assert not (place / ".expand").exists()


@pytest.mark.parametrize(
    ("entry", "fault"),
    [
        (3, "section 1 is 3; give keys and values"),
        ({"title": " ", "lines": 1, "topics": ["a"]}, "section 1: title is an empty text"),
        ({"lines": 1, "topics": ["a"]}, "section 1: title is empty"),
        ({"title": {"en": "A"}, "lines": 1, "topics": ["a"]}, "section 1 has no title; give it one, as a text"),
        (section("A", 0), "section 1: lines is 0; give a whole number from 1"),
        (section("A", True), "section 1: lines is true"),
        (section("A", "many"), 'section 1: lines is the text "many"'),
        (section("A", 5, []), "section 1 has 0 topics"),
        (section("A", 5, ["x", 4]), "section 1: topic 2 must be a string, not 4"),
        (section("A", 5, "x"), "section 1 has 0 topics"),
        (section("A", 5, [f"t{n}x" for n in range(9)]), "section 1 has 9 topics; give 2 to 6, as texts"),
        (section("A", 5, ["x" * 600]), "topic 1 has 600 characters; give at most 500"),
        (section("A", 5, ["x", "X "]), "section 1: topic 2 repeats topic 1"),
        (section("b"), "section 2 repeats the title of section 1"),
    ],
)
def test_what_is_wrong_with_a_section(entry: Json, fault: str) -> None:
    sections, faults = parse_answer(json.dumps({"sections": [entry, section("B")]}), SectionCount(least=1, most=3))
    assert any(found.startswith(fault) or fault in found for found in faults)
    assert sections[-1].title == "B"


@pytest.mark.parametrize(("topics", "wrong"), [(8, False), (9, True)])
def test_a_section_may_have_eight_topics(topics: int, wrong: bool) -> None:
    entry = section("A", 5, [f"t{number}x" for number in range(topics)])
    sections, faults = parse_answer(json.dumps({"sections": [entry]}), SectionCount(least=1, most=1))
    assert bool(faults) is wrong
    assert len(sections[0].topics) == 8


@pytest.mark.parametrize(("count", "wrong"), [(1, True), (2, False), (3, False), (4, True)])
def test_the_number_of_sections_has_two_bounds(count: int, wrong: bool) -> None:
    said = {"sections": [section(f"Part {number}") for number in range(count)]}
    assert bool(parse_answer(json.dumps(said), SectionCount(least=2, most=3))[1]) is wrong


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "it is no JSON object"),
        ("[1]", 'there is no list "sections"'),
        ('{"sections": []}', 'there is no list "sections"'),
        ('{"sections": ' + "[" * 100_000, "it is no JSON object"),
        ('{"a":' * 100_000 + "1" + "}" * 100_000, "it is no JSON object (nested too deep)"),
        ('{"sections": [1, 2]}', "section 1 is 1; give keys and values"),
    ],
)
def test_what_is_no_answer_at_all(text: str, fault: str) -> None:
    sections, faults = parse_answer(text, SectionCount(least=1, most=3))
    assert sections == ()
    assert faults[0].startswith(fault)


@pytest.mark.parametrize(
    "text",
    [
        '{"sections": [{"title": "A", "lines": 30, "topics": ["b", "c",],},]}',
        '{“sections”: [{“title”: “A”, “lines”: 30, “topics”: [“b”, “c”]}]}',
        '{“sections”：[{“title”：“A”，“lines”：30，“topics”：[“b”，“c”，]，}]}',
        '{"sections": [{"title": "A”, "lines": 30, "topics": [“b", "c"]}]}',
    ],
)  # fmt: skip
def test_commas_and_curly_quotes_are_mended_without_asking_again(text: str) -> None:
    sections, faults = parse_answer(text, SectionCount(least=1, most=1))
    assert faults == ()
    assert [(one.title, str(one.length), one.topics) for one in sections] == [("A", "30 lines", ("b", "c"))]


def test_curly_quotes_in_a_text_stay() -> None:
    text = '{"sections": [{"title": "The “A”, again", "lines": 30, "topics": ["b", "c"]}]}'
    assert parse_answer(text, SectionCount(least=1, most=1))[0][0].title == "The “A”, again"


def test_a_fence_and_numbers_and_markup_are_read_over() -> None:
    said = {"sections": [section("## 1. **Pipes**", "x", ["1.1 `pipe(2)`", "- FIFOs"]), section("B")]}
    answer = f"<think>Is it {{}}?</think>Sure!\n```json\n{json.dumps(said)}\n```"
    sections, _ = parse_answer(answer, SectionCount(least=1, most=3))
    assert sections[0].title == "Pipes"
    assert sections[0].topics[0] == "`pipe(2)`"


def test_how_many_sections_a_chapter_may_have() -> None:
    assert SectionCount.of(1000) == SectionCount(least=5, most=14)
    assert SectionCount.of(400) == SectionCount(least=2, most=10)
    assert SectionCount.of(25) == SectionCount(least=1, most=1)
    assert SectionCount.of(100, ["a", "b", "c"]) == SectionCount(least=3, most=3, headings=("a", "b", "c"))


@pytest.mark.parametrize("structured", ["json_schema", "json_object", "none"])
def test_the_profile_decides_on_the_form(place: Path, author: Author, structured: str) -> None:
    table = f'[models.some-model]\nstructured_output = "{structured}"\nparameters = {{temperature = 0.2}}\n'
    (place / "expand.toml").write_text(table, encoding="utf-8")
    proposer = author(GOOD)
    assert suggest(place, proposer, "Pipes", "--lines", "750", "--model", "some-model").code == 0
    (body,) = proposer.asked
    assert body["temperature"] == 0.2
    assert body.get("response_format", {"type": "none"})["type"] == structured


SECTIONS = st.lists(
    st.builds(
        ProposedSection,
        title=st.just("A"),
        length=st.none() | st.builds(Length, st.integers(1, 5000), st.just("lines")),
        topics=st.lists(st.just("t"), max_size=6).map(tuple),
        present=st.sampled_from([0, 0, 0, 7, 120]),
    ),
    min_size=1,
    max_size=14,
)


@given(sections=SECTIONS, lines=st.integers(25, 3000))
def test_lines_are_scaled_to_the_target(sections: list[ProposedSection], lines: int) -> None:
    proposal = Proposal(id="a", title="A", sections=tuple(sections))
    counts = [int(section.length.amount) for section in scaled(proposal, lines=lines).sections if section.length]
    least = max(1, min(LEAST_LINES, lines // len(sections) // 5 * 5))
    floors = [max(least, -(-section.present // 5) * 5) for section in sections]
    assert sum(counts) == max(lines, sum(floors))
    assert all(count >= floor for count, floor in zip(counts, floors, strict=True))
    if lines % 5 == 0 and least % 5 == 0:
        assert all(count % 5 == 0 for count in counts)
    stated = [int(section.length.amount) if section.length else 0 for section in sections]
    if all(stated) and not any(section.present for section in sections):
        share = [Fraction(lines * n, sum(stated)) for n in stated]
        if min(share) >= least:
            assert all(abs(a - b) < 5 + 1 for a, b in zip(counts, share, strict=True))
