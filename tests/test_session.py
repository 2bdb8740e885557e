"""A run put together: limits, margins, authors, and what one run leaves to the next."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
from buying import ScriptedAuthor, answer
from scripted_server import ScriptedServer
from workspaces import OUTLINE, draft_of, expand, rows, small

from expand.budget import Amount, Limit
from expand.drafting.dry_run import dry_run, first_request
from expand.drafting.events import Event, RunPlanned, SectionDone, SectionStarted
from expand.drafting.model_setup import (
    author_for,
    model_setup_for,
    require_language,
)
from expand.drafting.results import RunResult
from expand.drafting.run import Run
from expand.drafting.run_options import RunOptions
from expand.errors import AuthorError, InputError
from expand.ledger import Ledger
from expand.llm.local_model import EmbeddedAuthor, ServedModel, ServerProcess
from expand.llm.profile import profile_for
from expand.llm.tokens import RANK_FILES, load_ranks
from expand.llm.types import Answer, Finish, OnText, ignore_text
from expand.outline import Allowance, Opening, Plan, limits_of, opening_of
from expand.settings import Settings
from expand.workspace import Workspace

LOCAL = Settings(model="scripted", base_url="http://127.0.0.1:9/v1")
OPTIONS = RunOptions(chapters=("07",), plan=Plan.FULL, language="en")


@pytest.fixture
def place(tmp_path: Path) -> Workspace:
    return Workspace(root=small(tmp_path))


class Counting:
    """An author that writes new sentences for ever, or what its script says first."""

    def __init__(self, *script: Answer, before: str = "") -> None:
        self.inner = ScriptedAuthor(script=script)
        self.number = 0
        self.before = before

    async def complete(self, request: object, *, client_request_id: str, on_text: OnText = ignore_text) -> Answer:
        said = await self.inner.complete(request, client_request_id=client_request_id)  # type: ignore[arg-type]
        if said.text.startswith("to "):
            lines = [f"{self.before}Sentence {self.number + n} is new to all." for n in range(12)]
            self.number += 12
            return replace(said, text="\n".join(lines) + "\n")
        return said


def run(
    place: Workspace,
    author: Counting,
    options: RunOptions = OPTIONS,
    *,
    events: list[Event] | None = None,
    workers: int = 3,
) -> RunResult:
    """One run with an author of our own."""

    settings = replace(LOCAL, concurrency=workers)
    on_event = None if events is None else events.append

    async def expanded() -> RunResult:
        return await Run(place, options, settings=settings, author=author, on_event=on_event).complete()

    return asyncio.run(expanded())


def test_as_many_sections_are_worked_on_as_requests_may_be_on_their_way(place: Workspace) -> None:
    titles = "\n".join(f"  - {{title: Part {n}, lines: 12}}" for n in range(12))
    head = 'id: "07"\ntitle: Parts\nsource: chapters/07_signals.md\nsections:\n'
    place.outline_path("07").write_text(f"{head}{titles}\n")
    author, events = Counting(), list[Event]()
    author.inner.delay = 0.1
    assert run(place, author, events=events, workers=4).exit_code in (0, 5)
    assert author.inner.most_at_once == 4
    started = ended = most = 0
    for event in events:
        started += isinstance(event, SectionStarted)
        ended += isinstance(event, SectionDone)
        most = max(most, started - ended)
    assert most == 4


# --- what a run goes by ----------------------------------------------------------------------


def test_limits_are_the_books_and_the_outlines(place: Workspace) -> None:
    book = place.book()._replace(allowance=Allowance(tokens=100, usd=Decimal("0.5")))
    outline = place.outline("07")._replace(allowance=Allowance(tokens=10))
    assert limits_of(book, {"07": outline}) == {
        "book": Limit(tokens=100, pico_usd=500_000_000_000),
        "chapter:07": Limit(tokens=10),
    }
    assert limits_of(book, {"07": place.outline("07")})["chapter:07"] == Limit()


def test_openings_add_up(place: Workspace) -> None:
    book = place.book()._replace(
        openings=(
            Opening(chapters=("01",), tokens=5, usd=Decimal("0.25")),
            Opening(chapters=("02",), tokens=7),
        ),
    )
    assert opening_of(book) == Amount(12, 250_000_000_000)


def test_a_chapters_own_allowance_holds(place: Workspace) -> None:
    (place.outline_path("07")).write_text(OUTLINE + "allowance: {tokens: 40}\n")
    with ScriptedServer() as server:
        ran = expand(place.root, "chapter", "07", "--base-url", server.base_url, "--json")
    assert ran.code == 3
    assert not server.requests
    assert "chapter 07" in ran.err


def test_a_limit_in_money_needs_a_price(place: Workspace) -> None:
    book = place.book_path
    text = book.read_text().replace("tokens: 200000", "usd: 5")
    book.write_text(text.replace("tokens: 1000}", "tokens: 1000, usd: 0.01}"))
    with ScriptedServer() as server:
        url = server.base_url
        refused = expand(place.root, "chapter", "07", "--base-url", url, "--json")
        passed = expand(place.root, "chapter", "07", "--base-url", url, "--json", "--unpriced")
    assert refused.code in (2, 3)
    assert "price" in refused.err
    assert passed.code in (0, 5), passed.err


def test_the_margin_is_that_of_an_estimate_and_widens_with_what_was_seen(place: Workspace) -> None:
    assert model_setup_for(place, LOCAL, ledger=None).margin() == Decimal("0.15")
    exact = model_setup_for(place, Settings(model="gpt-4.1"), ledger=None)
    assert exact.margin() == 0
    assert exact.counter.exact

    run(place, Counting(*(answer("A new sentence, this.\n", prompt=1_000) for _ in range(3))))
    ledger = Ledger.read(place.ledger_path)
    assert ledger is not None
    margin = model_setup_for(place, LOCAL, ledger=ledger).margin
    seen = margin()
    assert seen > Decimal("0.3")
    assert margin() == seen
    ledger.close()


def test_languages_that_the_book_or_the_model_does_not_have(place: Workspace) -> None:
    embedded = profile_for("smollm2-135m-instruct")
    require_language(embedded, place.book(), "en")
    with pytest.raises(InputError, match=r"writes only en, not zh; set OPENAI_API_KEY"):
        require_language(embedded, place.book(), "zh")
    with pytest.raises(InputError, match=r"no language 'de'; give one of: en, zh, or add it"):
        require_language(embedded, place.book(), "de")


def test_an_author_that_is_not_asked_is_not_opened() -> None:
    async def entered() -> None:
        async with author_for(LOCAL, profile_for("scripted")):
            pass

    asyncio.run(entered())


def test_an_author_that_cannot_begin_ends_the_run_before_anything_is_reserved() -> None:
    def lost(model: ServedModel) -> ServerProcess:
        raise RuntimeError("the model file is damaged")

    async def begun() -> None:
        async with EmbeddedAuthor(start=lost) as author:
            await author.open()

    with pytest.raises(AuthorError, match="the model file is damaged; run `expand doctor`"):
        asyncio.run(begun())


def test_a_folder_that_cannot_be_written_ends_the_run_before_anything_is_spent(
    place: Workspace,
) -> None:
    (place.root / "drafts").write_text("in the way", encoding="utf-8")
    with ScriptedServer() as server:
        ran = expand(place.root, "chapter", "07", "--base-url", server.base_url)
    assert ran.code == 2
    assert "drafts/07.md: it cannot be written: " in ran.err
    assert server.requests == []
    assert rows(place.root, "SELECT * FROM attempt") == []


def test_a_damaged_tokenizer_is_told_before_anything_is_written(
    place: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, (file, _) in RANK_FILES.items():
        monkeypatch.setitem(RANK_FILES, name, (file, "0" * 64))
    load_ranks.cache_clear()  # another test of this process may have loaded them
    with ScriptedServer() as server:
        ran = expand(place.root, "chapter", "07", "--base-url", server.base_url)
    assert ran.code == 2
    assert "is damaged; install the package again" in ran.err
    assert server.requests == []
    assert not (place.root / "drafts").exists()


def test_the_settings_choose_the_author() -> None:
    embedded = Settings(model="smollm2-135m-instruct")
    assert isinstance(author_for(embedded, profile_for(embedded.model)), EmbeddedAuthor)
    author = author_for(LOCAL, profile_for("scripted"))
    assert not isinstance(author, EmbeddedAuthor)
    assert LOCAL.base_url is not None
    assert LOCAL.base_url in repr(author)


# --- runs ------------------------------------------------------------------------------------


def test_a_run_says_what_it_will_do_before_it_does_it(place: Workspace) -> None:
    events: list[Event] = []
    run(place, Counting(), events=events)
    first = events[0]
    assert isinstance(first, RunPlanned)
    assert [(s.section, s.lines, s.reason) for s in first.sections] == [
        (1, 40, "new"),
        (2, 40, "new"),
        (3, 20, "new"),
    ]
    assert [e.section for e in events if isinstance(e, SectionDone)] != []

    place.outline_path("07").write_text(OUTLINE.replace("en: Handler safety", "en: Safe ones"))
    path = place.draft_path("07")
    path.write_text(path.read_text().replace("## 3. Checklist\n", "## 3. Checklist\n\nMine.\n"))
    again: list[Event] = []
    run(place, Counting(before="Anew. "), events=again)
    planned = again[0]
    assert isinstance(planned, RunPlanned)
    assert [s.reason for s in planned.sections] == ["changed: outline", "", "edited"]


def test_a_filtered_answer_is_asked_for_again_and_never_text(place: Workspace) -> None:
    filtered = answer("Something half of which was", finish=Finish.CONTENT_FILTER)
    only_one = replace(OPTIONS, sections=frozenset({3}))
    result = run(place, Counting(filtered), only_one, workers=1)

    (section,) = result.chapters[0].sections
    assert section.status == "drafted"
    assert "Something half" not in draft_of(place.root)
    assert not [f for f in section.findings if f.kind == "refusal"]
    keys = rows(place.root, "SELECT count(DISTINCT request_key) FROM attempt")
    assert keys == [(section.answers,)], "each try is a request of its own"


def test_what_is_filtered_every_time_is_a_finding(place: Workspace) -> None:
    filtered = [answer("Half of", finish=Finish.CONTENT_FILTER) for _ in range(60)]
    only_one = replace(OPTIONS, sections=frozenset({3}))
    result = run(place, Counting(*filtered), only_one, workers=1)

    (section,) = result.chapters[0].sections
    (found, *_) = [f for f in section.findings if f.kind == "refusal"]
    assert found.message == "the provider's content filter held back the text, 2 times"
    assert found.severity == "blocking"
    assert result.exit_code == 5
    assert "Half of" not in draft_of(place.root)


@pytest.mark.parametrize("finish", [Finish.LENGTH, Finish.CUT])
def test_cut_code_is_continued_and_whole(place: Workspace, finish: Finish) -> None:
    text = "Text.\n\n```rust\nfn sum(values: &[u64]) -> u64 {\n    let mut to"
    rest = "tal = 0;\n    for v in values { total += v; }\n    total\n}\n```\n\nDone.\n"
    only_one = replace(OPTIONS, sections=frozenset({3}))
    author = Counting(answer(text, finish=finish), answer(rest))
    run(place, author, only_one, workers=1)

    whole = (
        "```rust\nfn sum(values: &[u64]) -> u64 {\n    let mut total = 0;\n"
        "    for v in values { total += v; }\n    total\n}\n```\n"
    )
    assert whole in draft_of(place.root)
    assert "/continue/" in author.inner.headers[1]


def test_wrong_input_is_told_before_anything_is_sent(place: Workspace) -> None:
    author = Counting()
    with pytest.raises(InputError, match="has no section 9"):
        run(place, author, replace(OPTIONS, sections=frozenset({9})))
    assert author.inner.asked == []


def test_a_template_that_breaks_in_the_middle_ends_the_run_with_its_place(
    place: Workspace,
) -> None:
    place.prompts_folder.mkdir()
    (place.prompts_folder / "section.j2").write_text("{{ nonsense }} {{ lines }} lines")
    with pytest.raises(InputError, match=r"prompts/section\.j2:1: template: 'nonsense'"):
        run(place, Counting())


def test_full_keeps_what_it_asks_for_as_lean_did(place: Workspace) -> None:
    long = OUTLINE.replace("lines: 40", "lines: 300").replace("target_lines: 100\n", "")
    place.outline_path("07").write_text(long)
    lean, full = Counting(), Counting(before="Full: ")
    run(place, lean, replace(OPTIONS, plan=Plan.LEAN))
    run(place, full, OPTIONS)

    text = draft_of(place.root)
    assert "\nSentence 0 is new to all." in text
    assert "Full: Sentence" in text
    fresh = Workspace(root=small(place.root / "other"))
    fresh.outline_path("07").write_text(long)
    alone = Counting()
    run(fresh, alone, OPTIONS)
    assert len(full.inner.asked) < len(alone.inner.asked)


def test_a_section_that_is_edited_while_the_run_goes_on_stays(place: Workspace) -> None:
    class Editing(Counting):
        async def complete(self, request: object, *, client_request_id: str, on_text: OnText = ignore_text) -> Answer:
            path = place.draft_path("07")
            if path.exists() and "Mine." not in path.read_text():
                text = path.read_text()
                path.write_text(text.replace("## 1. Signal handling", "## 1. Signals\n\nMine."))
            return await super().complete(request, client_request_id=client_request_id, on_text=on_text)

    run(place, Editing(), workers=1)
    text = draft_of(place.root)
    assert "## 1. Signals\n\nMine.\n" in text
    assert "## 3. Checklist\n\nSentence" in text
    again = run(place, Counting())
    assert [s.status for s in again.chapters[0].sections] == ["edited", "reused", "reused"]


def test_a_run_that_is_refused_half_way_leaves_the_longer_text(place: Workspace) -> None:
    run(place, Counting())
    former = draft_of(place.root)
    ran = expand(
        place.root,
        "chapter",
        "07",
        "--fresh",
        "--budget",
        "0",
        "--base-url",
        "http://127.0.0.1:9/v1",
    )
    assert ran.code == 3
    assert draft_of(place.root) == former


BROKEN = "Prose first.\n\n```rust\nfn broken( {\n    let = ;\n}}\n```\n\nProse after it.\n"
WHOLE = BROKEN.replace("fn broken( {\n    let = ;\n}}", "fn whole() {}")


def third(place: Workspace, *script: Answer) -> tuple[str, list[str]]:
    """Section 3 drafted with these answers first; its text and the purposes asked for."""
    author = Counting(*script)
    run(place, author, replace(OPTIONS, sections=frozenset({3})), workers=1)
    text = draft_of(place.root).partition("## 3. Checklist")[2]
    return text, [header.split("/")[2] for header in author.inner.headers]


def lines_then(text: str) -> str:
    return "".join(f"Line {n} of a text that needs no more.\n" for n in range(10)) + "\n" + text


def test_a_repair_that_is_better_takes_the_place_of_what_was_wrong(place: Workspace) -> None:
    text, purposes = third(place, answer(lines_then(BROKEN)), answer(lines_then(WHOLE)))
    assert purposes == ["draft", "repair"]
    assert "fn whole() {}" in text
    assert "fn broken" not in text


def test_a_repair_that_is_worse_is_left_alone(place: Workspace) -> None:
    text, purposes = third(place, answer(lines_then(BROKEN)), answer("No.\n"))
    assert purposes == ["draft", "repair"]
    assert "fn broken" in text
    assert rows(place.root, "SELECT count(*) FROM answer") == [(2,)], "both stay in the ledger"


def test_a_repair_that_is_refused_leaves_what_there_was(place: Workspace) -> None:
    refused = answer("I cannot.", finish=Finish.REFUSAL)
    text, purposes = third(place, answer(lines_then(BROKEN)), refused, refused, refused)
    assert purposes == ["draft", *["repair"] * 2]
    assert "fn broken" in text
    assert "I cannot." not in text


def test_a_model_that_fills_in_forms_is_not_asked_to_repair(place: Workspace) -> None:
    place.settings_path.write_text('[models.scripted]\naspects = { en = ["what it is"] }\n')
    with ScriptedServer(behaviour="placeholder") as server:
        ran = expand(place.root, "chapter", "07", "--base-url", server.base_url, "--model", "scripted")
    assert ran.code == 5
    purposes = {r.headers["X-Client-Request-Id"].split("/")[2] for r in server.requests}
    assert purposes == {"draft"}
    assert all("what it is" in r.last_user_message for r in server.requests)


# --- rehearsals ------------------------------------------------------------------------------


def test_a_rehearsal_knows_editions_without_raising_them(place: Workspace) -> None:
    before = dry_run(place, LOCAL, OPTIONS)
    run(place, Counting())
    assert [p.reused for p in dry_run(place, LOCAL, OPTIONS)] == [True] * 3
    fresh = dry_run(place, LOCAL, replace(OPTIONS, fresh=True))
    assert [p.requests for p in fresh] == [p.requests for p in before]
    edited = draft_of(place.root).replace("## 2. Named pipes", "## 2. Pipes")
    place.draft_path("07").write_text(edited, encoding="utf-8")
    named = replace(OPTIONS, fresh=True, sections=frozenset({2}))
    assert [p.requests for p in dry_run(place, LOCAL, replace(named, sections=None))][1] == 0
    assert [p.requests for p in dry_run(place, LOCAL, named)] == [before[1].requests]
    place.draft_path("07").unlink()
    assert [p.requests for p in dry_run(place, LOCAL, named)] == [before[1].requests]
    assert run(place, Counting()).attempts == 0, "the rehearsal raised nothing"


def test_the_first_request_needs_a_section_that_has_room(place: Workspace) -> None:
    one_topic = OUTLINE.replace("      - {en: Reading until the end, zh: 读到结尾}\n", "")
    before, second = one_topic.split("  - title: {en: Named pipes", 1)
    second = second.replace("lines: 40", "lines: 8", 1)
    place.outline_path("07").write_text(f"{before}  - title: {{en: Named pipes{second}")
    with pytest.raises(InputError, match="section 2 of chapter 07 has its lines already"):
        first_request(place, LOCAL, replace(OPTIONS, sections=frozenset({2})))


def test_a_section_that_its_source_fills_is_not_asked_for(place: Workspace) -> None:
    text = OUTLINE.replace("lines: 40", "lines: 8").replace("      - {en: Reading until", "      #")
    place.outline_path("07").write_text(text, encoding="utf-8")
    second = replace(OPTIONS, sections=frozenset({2}))
    assert run(place, Counting(), second).chapters[0].sections[0].attempts == 0


def test_without_a_key_nothing_is_begun(place: Workspace) -> None:
    async def begun() -> None:
        await Run(place, OPTIONS, settings=Settings(model="gpt-4.1")).complete()

    with pytest.raises(InputError, match="OPENAI_API_KEY is not set"):
        asyncio.run(begun())
    assert not place.ledger_path.exists()
