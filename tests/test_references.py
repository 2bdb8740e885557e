"""References: passages that sections cite, the footnotes made of the citations, and what is checked of them."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from scripted_server import ScriptedServer
from workspaces import OUTLINE, ROOT, draft_of, expand, shipped, small

from expand import RunResult, Workspace, expand_chapter
from expand.doctor.outline_check import check_outlines
from expand.ledger import verify
from expand.llm.tokens import TokenCounter
from expand.llm.types import Answer, Finish
from expand.references.citations import citation_findings, with_footnotes, with_ids
from expand.references.passages import MOST_CHARACTERS, MOST_LINES, passages_of, rankings, within_tokens
from expand.references.passages import shown as shown_passage
from expand.testing import ScriptedAuthor, SentRequest
from expand.testing.scripted_author import Script

RUST = """\
//! Workers and how they end.

/// Stops the worker and waits until it has ended.
pub fn stop_worker(worker: &mut Worker) -> u32 {
    worker.signal();
    worker.wait()
}

/// Starts the worker again after a pause.
pub fn restart_worker(worker: &mut Worker, pause: u64) {
    stop_worker(worker);
    worker.start_after(pause);
}

/// The option --grace-period of the command line.
pub const GRACE_PERIOD: u64 = 5;
"""
PDF_TEXT = "A named pipe holds 65536 bytes before a writer has to wait for its reader."


def pdf(text: str) -> bytes:
    """A PDF document of one page."""
    stream = f"BT /F1 12 Tf 40 700 Td ({text}) Tj ET".encode()
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 4 0 R "
        b"/Resources << /Font << /F1 5 0 R >> >> >>",
        b"<< /Length %d >>\nstream\n%s\nendstream" % (len(stream), stream),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    data, places = b"%PDF-1.4\n", []
    for number, body in enumerate(objects, 1):
        places.append(len(data))
        data += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    tail = b"xref\n0 6\n0000000000 65535 f \n%strailer << /Size 6 /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF"
    return data + tail % (table, len(data))


def cited(folder: Path, *, outline: str = "references: [code/, spec.pdf]\n", section: str = "") -> Path:
    """The small workspace with a folder of code and a PDF to cite; ``section`` is said of the first section."""
    place = small(folder)
    (place / "code").mkdir()
    (place / "code/worker.rs").write_text(RUST, encoding="utf-8")
    (place / "spec.pdf").write_bytes(pdf(PDF_TEXT))
    text = OUTLINE.replace("    lines: 40\n", f"    lines: 40\n{section}", 1)
    (place / "outlines/07.yaml").write_text(text + outline, encoding="utf-8")
    return place


def name_of(sent: SentRequest, said: str) -> str:
    """The name under which a request quotes the passage that says something."""
    at = sent.prompt_text.index(said)
    return str(re.findall(r"^\[(R\d+)\] ", sent.prompt_text[:at], re.MULTILINE)[-1])


Says = Callable[[SentRequest], str]


def author(says: dict[int, Says], repairs: Says | None = None) -> ScriptedAuthor:
    """Writes sections to order, each with a sentence of its own in its first request."""
    script = Script(ratio=0.85)
    said: set[int] = set()

    def write(sent: SentRequest) -> str:
        if sent.purpose == "repair" and repairs is not None:
            return repairs(sent)
        text = script.written(sent)[0]
        if sent.section in says and sent.section not in said:
            said.add(sent.section)
            first, _, rest = text.partition("\n\n") if text.startswith("### ") else ("", "", text)
            return f"{first}\n\n{says[sent.section](sent)}\n\n{rest}".lstrip()
        return text

    return ScriptedAuthor(write=write)


CITING: dict[int, Says] = {
    1: lambda sent: f"Call `stop_worker()`, which “waits until it has ended” [{name_of(sent, 'fn stop_worker')}].",
    2: lambda sent: f"A pipe holds 65536 bytes. [{name_of(sent, 'A named pipe holds')}]",
    3: lambda sent: (
        f"Set `--grace-period` before `restart_worker` "
        f"[{name_of(sent, 'fn restart_worker')}, {name_of(sent, 'GRACE_PERIOD')}]."
    ),
}


def run(place: Path, writer: ScriptedAuthor, **options: Any) -> RunResult:
    opened = Workspace.open(place)
    options = {"brief": False, "read": False, "model": "gpt-4.1", **options}
    return asyncio.run(expand_chapter(opened, "07", author=writer, **options))


KINDS = {"unknown-citation", "misquoted", "not-in-reference", "uncited-claim"}


def found(result: RunResult) -> list[tuple[str, int, str]]:
    return [(f.kind, f.section, f.message) for f in result.chapter.every_finding if f.kind in KINDS]


def test_citations_become_footnotes_with_file_and_lines(tmp_path: Path) -> None:
    place = cited(tmp_path)
    result = run(place, author(CITING))
    draft = draft_of(place)
    notes = dict(re.findall(r"^\[\^(r-[0-9a-f]{8})\]: (.+)$", draft, re.MULTILINE))
    assert sorted(notes.values()) == [
        "`code/worker.rs:15-16`.", "`code/worker.rs:3-7`.", "`code/worker.rs:9-13`.", "`spec.pdf, p. 1`."
    ]  # fmt: skip
    used = re.findall(r"\[\^(r-[0-9a-f]{8})\](?!:)", draft)
    assert set(used) == set(notes)
    assert "[R" not in draft
    assert found(result) == []
    assert not any(f.kind in ("undefined-reference", "cut") for f in result.chapter.every_finding)
    assert verify(Workspace.open(place).ledger_path).findings == ()


def test_a_chapter_that_cites_is_current(tmp_path: Path) -> None:
    place = cited(tmp_path)
    run(place, author(CITING))
    before = draft_of(place)
    assert run(place, again := author(CITING)).attempts == 0
    assert again.requests == []
    assert draft_of(place) == before
    (place / ".expand/finished/en.full.json").unlink()  # looked at, and not known from the result before
    assert run(place, author(CITING)).attempts == 0
    assert draft_of(place) == before


def test_one_changed_function_has_just_the_sections_drafted_that_cite_it(tmp_path: Path) -> None:
    place = cited(tmp_path)
    run(place, author(CITING))
    before = draft_of(place)
    code = RUST.replace("    worker.start_after(pause);\n", "    worker.start_after(2 * pause);\n    log();\n")
    (place / "code/worker.rs").write_text(code, encoding="utf-8")
    options = ("--no-brief", "--model", "gpt-4.1", "--base-url", "http://127.0.0.1:9")
    ran = expand(place, "chapter", "07", "--dry-run", "--json", *options)
    assert [section["reused"] for section in ran.json["sections"]][:3] == [True, True, False]
    events: list[Any] = []
    result = run(place, writer := author(CITING), on_event=events.append)
    assert {sent.section for sent in writer.requests} == {3}
    assert [section.status for section in result.chapter.sections] == ["reused", "reused", "drafted"]
    planned = next(event for event in events if hasattr(event, "sections"))
    assert [one.reason for one in planned.sections] == ["", "", "changed: references (code/worker.rs:9-13)"]
    draft = draft_of(place)
    assert "`code/worker.rs:3-7`." in draft
    assert "`code/worker.rs:9-14`." in draft
    assert "`code/worker.rs:16-17`." in draft
    assert draft.partition("## 3.")[0] == before.partition("## 3.")[0]
    assert run(place, author(CITING)).attempts == 0


def test_footnotes_follow_lines_that_moved(tmp_path: Path) -> None:
    place = cited(tmp_path)
    run(place, author(CITING))
    before = draft_of(place)
    (place / "code/worker.rs").write_text(RUST.replace("//! Workers", "//! A comment.\n//!\n//! Workers"), "utf-8")
    result = run(place, author(CITING))
    assert result.attempts == 0
    for old, new in (("3-7", "5-9"), ("9-13", "11-15"), ("15-16", "17-18")):
        before = before.replace(f"`code/worker.rs:{old}`.", f"`code/worker.rs:{new}`.")
    assert draft_of(place).rpartition("<!-- expand")[0] == before.rpartition("<!-- expand")[0]
    assert not any(section.status == "edited" for section in run(place, author(CITING)).chapter.sections)


def test_a_section_that_a_person_edited_is_told_and_left_alone(tmp_path: Path) -> None:
    place = cited(tmp_path)
    run(place, author(CITING))
    path = place / "drafts/07.md"
    path.write_text(draft_of(place).replace("A pipe holds 65536", "Each pipe holds 65536"), encoding="utf-8")
    (place / "spec.pdf").write_bytes(pdf(PDF_TEXT.replace("65536", "4096")))
    result = run(place, writer := author(CITING))
    assert writer.requests == []
    assert "Each pipe holds 65536 bytes.[^r-" in draft_of(place)
    ((kind, section, message),) = found(result)
    assert (kind, section) == ("unknown-citation", 2)
    assert "cites what no reference says, or not any more" in message


def shown(sent: SentRequest) -> str:
    """The text that a request wants mended."""
    return str(re.findall(r"<<<\n(.*?)\n>>>", sent.last_user_message, re.DOTALL)[0])


WRONG: dict[int, Says] = {
    1: lambda sent: (
        f"It stops at once [R99]. It “kills the worker without a word” [{name_of(sent, 'fn stop_worker')}]."
    ),
    2: lambda sent: f"Give `--pipe-size` [{name_of(sent, 'A named pipe holds')}].",
}


def test_what_does_not_hold_is_found_and_mended(tmp_path: Path) -> None:
    place = cited(tmp_path, outline="references: [code/, spec.pdf]\nsource_text: keep\n")
    result = run(place, author(WRONG, repairs=shown))
    assert [(kind, section) for kind, section, _ in found(result)] == [
        ("unknown-citation", 1), ("misquoted", 1), ("not-in-reference", 2)
    ]  # fmt: skip
    messages = " ".join(message for *_, message in found(result))
    assert "[R99]" in messages
    assert "code/worker.rs:3-7 does not say: kills the worker without a word" in messages
    assert "spec.pdf, p. 1 is cited for --pipe-size, and does not have it" in messages
    assert not result.chapter.kept
    asked: list[str] = []

    def mend(sent: SentRequest) -> str:
        asked.append(sent.last_user_message)
        text = re.sub(r"It stops at once \[R99\]\. It “kills the worker without a word”", "It waits", shown(sent))
        return text.replace("Give `--pipe-size`", "It is full at 65536")

    result = run(place, author(WRONG, repairs=mend), fresh=True)
    assert found(result) == []
    assert any("does not say: kills the worker without a word" in text for text in asked)
    assert any("--pipe-size" in text for text in asked)
    assert all("[^r-" not in text for text in asked)  # a request has names, a draft has footnotes
    assert re.search(r"It waits\[\^r-\w{8}\]\.", draft_of(place))


def test_claims_have_to_be_cited(tmp_path: Path) -> None:
    claims = "    must_cite: [Handlers of the worker stop within five seconds., Blocking a signal is cheap.]\n"
    place = cited(tmp_path, section=claims)
    result = run(place, writer := author(CITING), model="gpt-4o-mini-2024", concurrency=1)
    assert [(kind, section) for kind, section, _ in found(result)] == [("uncited-claim", 1)] * 2
    asked = [sent.last_user_message for sent in writer.requests if sent.section == 1 and sent.purpose == "draft"]
    assert sum("- Handlers of the worker stop within five seconds." in text for text in asked) == 1
    assert sum("- Blocking a signal is cheap." in text for text in asked) == 1
    says = CITING | {
        1: lambda sent: (
            f"Handlers of a worker stop in five seconds [{name_of(sent, 'GRACE')}].\n\n"
            f"It is cheap to block a signal [{name_of(sent, 'fn stop_worker')}]."
        )
    }
    assert found(run(place, author(says), fresh=True)) == []


@pytest.mark.parametrize(
    ("file", "text", "other"),
    [
        ("mkdocs.yml", "docs_dir: chapters\n", "docs_dir: chapters\nmarkdown_extensions: [footnotes]\n"),
        (".vitepress/config.mts", "export default {}\n", "import footnote from 'markdown-it-footnote'\n"),
    ],
)
def test_a_site_that_shows_no_footnotes_is_named(tmp_path: Path, file: str, text: str, other: str) -> None:
    workspace = Workspace.open(cited(tmp_path))
    assert check_outlines(workspace, ["07"]).findings == ()
    (tmp_path / file).parent.mkdir(exist_ok=True)
    (tmp_path / file).write_text(text, encoding="utf-8")
    (warning,) = check_outlines(workspace, ["07"]).findings
    assert "shows none as it is set up here; add" in warning.sentence
    assert warning.level == "warning"
    (tmp_path / file).write_text(other, encoding="utf-8")
    assert check_outlines(workspace, ["07"]).findings == ()


def test_a_section_quotes_its_own_references(tmp_path: Path) -> None:
    place = cited(tmp_path, outline="", section="    references: ['code/worker.rs:9-13']\n")
    writer = author({1: lambda sent: f"It starts it again [{name_of(sent, 'fn restart_worker')}]."})
    result = run(place, writer)
    assert found(result) == []
    assert "`code/worker.rs:9-13`." in draft_of(place)
    system, user = ([sent.request.messages[n].content for sent in writer.requests] for n in (0, 1))
    assert len(set(system)) == 1
    assert "are given passages of references" in system[0]
    assert "restart_worker" not in system[0]
    sections = [sent.section for sent in writer.requests]
    assert [("fn restart_worker" in text) for text in user] == [section == 1 for section in sections]
    assert "stop_worker(worker: &mut" not in "".join(user)


def test_a_section_s_own_references_take_the_room_that_shared_ones_leave(tmp_path: Path) -> None:
    place = cited(tmp_path, outline="", section="    references: [code/]\n")
    functions = [f"/// Number {n}.\npub fn call_{n}() -> u32 {{\n    {n} + {'1' * 1200}\n}}\n" for n in range(20)]
    (place / "code/many.rs").write_text("\n".join(functions), encoding="utf-8")
    run(place, writer := author({}))
    asked = next(sent.last_user_message for sent in writer.requests if sent.section == 1)
    quoted = asked.partition("Passages of references for this section:\n<<<\n")[2].partition("\n>>>")[0]
    assert 3500 < TokenCounter("gpt-4.1").count(quoted) < 4000


def test_what_is_named_counts_for_what_a_section_is_made_from(tmp_path: Path) -> None:
    place = cited(tmp_path)
    run(place, author(CITING))
    path = place / "outlines/07.yaml"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("    lines: 40\n", "    lines: 40\n    references: [notes.md]\n", 1), encoding="utf-8")
    (place / "notes.md").write_text("# Notes\n\nSignals are blocked first.\n", encoding="utf-8")
    run(place, writer := author(CITING))
    assert {sent.section for sent in writer.requests} == {1}
    (place / "chapters/06_exits.md").write_text("# Exits\n\nA process exits once.\n", encoding="utf-8")
    path.write_text(text.replace("references: [code/,", "references: [code/, chapters/,"), encoding="utf-8")
    run(place, writer := author(CITING))
    assert {sent.section for sent in writer.requests} == {1, 2, 3}
    system = writer.requests[0].request.messages[0].content
    assert "A process exits once." in system
    assert "A named pipe outlives" not in system  # the chapter's own document is no reference of its own


def test_an_instruction_is_given_with_names_and_not_with_footnotes(tmp_path: Path) -> None:
    place = cited(tmp_path)
    run(place, author(CITING))
    run(place, writer := author({}), sections=[1], fresh=True, instruction="Shorter.")
    present = next(s.last_user_message for s in writer.requests if "waits until it has ended" in s.last_user_message)
    assert re.search(r"“waits until it has ended” ?\[R\d+\]\.", present)
    assert "[^r-" not in present
    assert "code/worker.rs:3-7`" not in present


def test_a_small_model_is_told_nothing_of_references(tmp_path: Path) -> None:
    place = cited(tmp_path)
    run(place, writer := author({}), model="smollm2-135m-instruct", concurrency=1)
    assert not any("stop_worker" in sent.prompt_text for sent in writer.requests)
    with (place / "expand.toml").open("a", encoding="utf-8") as settings:
        settings.write('[models."gpt-4.1"]\nreference_tokens = 0\n')
    run(place, writer := author({}), fresh=True)
    assert not any("stop_worker" in sent.prompt_text for sent in writer.requests)


def refused(place: Path, reference: str) -> str:
    """What the command line says of a reference that it refuses, behind the place where it stands."""
    (place / "outlines/07.yaml").write_text(
        OUTLINE + f"references:\n- code/worker.rs\n- {json.dumps(reference)}\n", "utf-8"
    )
    ran = expand(place, "chapter", "07", "--dry-run")
    assert (ran.code, ran.out) == (2, "")
    assert "Traceback" not in ran.err
    assert ran.err.count("\n") == 1
    return ran.err.partition(f"outlines/07.yaml:{OUTLINE.count(chr(10)) + 3}:3: ")[2]


def test_only_documents_of_the_workspace_and_its_repository_are_read(tmp_path: Path) -> None:
    (tmp_path / "book").mkdir()
    place = cited(tmp_path / "book/docs")
    (tmp_path / "secret.txt").write_text("s3cret", encoding="utf-8")
    (place / ".env").write_text("KEY=s3cret", encoding="utf-8")
    (place / "code/tls.key").write_text("s3cret", encoding="utf-8")
    (place / "code/copy.txt").write_text("-----BEGIN RSA PRIVATE KEY-----\ns3cret", encoding="utf-8")
    (place / "code/logo.png").write_bytes(b"\x89PNG\0\0s3cret")
    (place / "code/way.txt").symlink_to(tmp_path / "secret.txt")
    (place / "code/env.txt").symlink_to(place / ".env")
    (place / "code/latin.txt").write_bytes("caf\xe9 s3cret".encode("latin-1"))
    (place / "code/target").mkdir()
    (place / "code/target/built.rs").write_text("fn s3cret() {}", encoding="utf-8")
    (place / ".expand").mkdir(exist_ok=True)
    (place / ".expand/note.txt").write_text("s3cret", encoding="utf-8")
    for reference, said in (
        ("../other/a.rs", "leaves the workspace;"),
        ("code/../../secret.txt", "leaves the workspace;"),
        (".env", "a file of the tool's own or a hidden one"),
        (".expand/note.txt", "a file of the tool's own or a hidden one"),
        ("outlines/07.yaml", "a file of the tool's own or a hidden one"),
        ("code/tls.key", "is a file of keys"),
        ("code/copy.txt", "it holds a private key"),
        ("code/logo.png", "'code/logo.png' cannot be cited: it is a binary file"),
        ("code/latin.txt", "byte 3 is not UTF-8"),
        ("code/nothing.rs", "does not exist; correct the path"),
        ("code/*.py", "names no file"),
        ("code/:1-2", "names lines of several files"),
        ("code/worker.rs:100-200", "names lines that the file does not have"),
    ):
        assert said in refused(place, reference), reference
    assert "cannot be followed: the link" in refused(place, "code/way.txt")
    assert "this is a link to .env" in refused(place, "code/env.txt")
    (place / "outlines/07.yaml").write_text(OUTLINE + "references: [a.rs, code/*.py]\n", encoding="utf-8")
    checked = expand(place, "outline", "check", "--format", "json").json["findings"]
    assert [(one["line"], one["column"]) for one in checked] == [(18, 14), (18, 20)]
    (place / "outlines/07.yaml").write_text(OUTLINE + "references: [code/, './code/**']\n", encoding="utf-8")
    ran = expand(place, "prompt", "show", "07", "--section", "1", "--model", "gpt-4.1")
    assert "fn stop_worker" in ran.out
    assert "s3cret" not in ran.out


def test_the_repository_around_a_workspace_may_be_cited(tmp_path: Path) -> None:
    (tmp_path / "repo/src/deep").mkdir(parents=True)
    (tmp_path / "repo/.git").mkdir()
    (tmp_path / "repo/.git/config.txt").write_text("s3cret", encoding="utf-8")
    (tmp_path / "repo/src/deep/mod.rs").write_text(RUST, encoding="utf-8")
    (tmp_path / "repo/src/notes.md").write_text("# Notes\n\nNothing here.\n", encoding="utf-8")
    place = cited(tmp_path / "repo/docs", outline="references: ['../src/**/*.rs']\n")
    run(place, author({1: lambda sent: f"It waits [{name_of(sent, 'fn stop_worker')}]."}))
    assert "]: `../src/deep/mod.rs:3-7`." in draft_of(place)
    assert "leaves the workspace and its repository" in refused(place, "../../other.txt")
    assert "hidden one" in refused(place, "../.git/config.txt")


# Passages


def cut_up(name: str, text: str) -> list[tuple[str, str]]:
    """Place and first line of each passage of a file."""
    return [(one.place, one.text.splitlines()[0]) for one in passages_of(text.encode(), name)]


def test_code_is_cut_at_definitions() -> None:
    assert cut_up("a.rs", RUST) == [
        ("a.rs:1", "//! Workers and how they end."),
        ("a.rs:3-7", "/// Stops the worker and waits until it has ended."),
        ("a.rs:9-13", "/// Starts the worker again after a pause."),
        ("a.rs:15-16", "/// The option --grace-period of the command line."),
    ]
    methods = "".join(f"    fn step_{n}(&self) {{\n        run({n});\n    }}\n\n" for n in range(12))
    found = passages_of(f"impl Worker {{\n{methods}}}\n\nfn main() {{}}\n".encode(), "a.rs")
    assert [one.first for one in found] == [1, *range(6, 50, 4), 52]
    assert found[1].within == ("impl Worker {",)
    assert found[-1].within == ()


def test_a_passage_stays_what_it_is_while_its_words_do() -> None:
    former = {one.mark for one in passages_of(RUST.encode(), "a.rs")}
    changed = RUST.replace("worker.wait()", "worker.wait();\n    log()")
    assert len(former - {one.mark for one in passages_of(changed.encode(), "a.rs")}) == 1
    assert former.isdisjoint(one.mark for one in passages_of(RUST.encode(), "b.rs"))


def test_the_bounds_of_a_passage() -> None:
    rows = [f"row {n}" for n in range(MOST_LINES)]
    assert [one.last for one in passages_of("\n".join(["# One", *rows[1:]]).encode(), "a.md")] == [MOST_LINES]
    assert [one.last for one in passages_of("\n".join(["# One", *rows]).encode(), "a.md")] == [
        MOST_LINES,
        MOST_LINES + 1,
    ]
    (whole,) = passages_of(("x" * MOST_CHARACTERS).encode(), "a.txt")
    assert len(whole.text) == MOST_CHARACTERS
    first, second = passages_of(("x" * (MOST_CHARACTERS + 1)).encode(), "a.txt")
    assert (len(first.text), len(second.text), second.first) == (MOST_CHARACTERS, 1, 1)
    deep = "\n".join(" " * n + "x" for n in range(300))
    assert len(passages_of(deep.encode(), "a.py")) < 30
    assert passages_of(b"\n{\n}\n", "a.json") == ()


def test_documents_are_cut_by_what_they_are() -> None:
    markdown = "Before.\n\n# One\n\nText.\n\n```\n# no heading\n```\n\n## Two\n\nMore.\n\n# Three\n\nEnd.\n"
    found = passages_of(markdown.encode(), "a.md")
    assert [(one.place, one.within) for one in found] == [
        ("a.md:1", ()), ("a.md:3-9", ()), ("a.md:11-13", ("One",)), ("a.md:15-17", ())
    ]  # fmt: skip
    page = (
        "<html><head><title>T</title><style>p { x: y }</style></head>\n<body><nav>Menu</nav>\n<h1>One</h1>\n"
        "<p>It is <b>so</b>\nand <code>stop()</code> &amp; on.</p>\n<pre>a\n\nb</pre><h2>Two</h2>"
        "<p>More</p></body></html>"
    )
    found = passages_of(page.encode(), "a.html")
    assert [(one.place, one.text) for one in found] == [
        ("a.html:1", "T"),
        ("a.html:3-8", "One\n\nIt is so and stop() & on.\n\na\n\nb"),
        ("a.html:8", "Two\n\nMore"),
    ]
    page = "<p title='a > b' class=it's>One <svg-icon/> and</p>"
    page += "<svg class='y' /><nav-bar>two</nav-bar><nav>Menu</nav><p>three"
    assert [one.text for one in passages_of(page.encode(), "a.html")] == ["One", "and", "two", "three"]
    began = time.process_time()
    passages_of(f"<p>a</p> 1 <{'b' * 200_000}".encode(), "a.html")
    assert time.process_time() - began < 5
    notebook = {"cells": [{"source": ["# Load\n", "data = 1"]}, {"source": ""}, {"source": "print(data)"}]}
    assert cut_up("a.ipynb", json.dumps(notebook)) == [
        ("a.ipynb, cell 1", "# Load"),
        ("a.ipynb, cell 3", "print(data)"),
    ]
    paths = "".join(f"  /path{n}:\n    get:\n      summary: It is {n}.\n" for n in range(30))
    found = passages_of(f"openapi: 3.1.0\npaths:\n{paths}".encode(), "api.yaml")
    assert {one.within for one in found[2:]} == {("paths:",)}
    assert max(one.last - one.first for one in found) < MOST_LINES
    (page_one,) = passages_of(pdf(PDF_TEXT), "spec.pdf")
    assert (page_one.place, page_one.text) == ("spec.pdf, p. 1", PDF_TEXT)
    for name, data in (("a.pdf", b"%PDF-1.4 no"), ("a.ipynb", b"{}"), ("a.rs", b"\0"), ("a.rs", b"\xff")):
        with pytest.raises(ValueError, match=r"PDF|notebook|binary|UTF-8"):
            passages_of(data, name)


def test_lines_pages_and_cells_can_be_named() -> None:
    (only,) = passages_of(RUST.encode(), "a.rs", range(4, 8))
    assert (only.place, only.text.splitlines()[0]) == ("a.rs:4-7", "pub fn stop_worker(worker: &mut Worker) -> u32 {")
    assert passages_of(pdf(PDF_TEXT), "a.pdf", range(2, 3)) == ()
    assert len(passages_of(pdf(PDF_TEXT), "a.pdf", range(1, 2))) == 1


# Citations


def test_names_become_footnotes_outside_of_code_and_back() -> None:
    one, two, *_ = passages_of(RUST.encode(), "a.rs")
    named = {"R1": one, "R2": two}
    said = "It is so [R1, R2]. `x[R1]`【R2】\n\n```\n[R1]\n```\n\nNo [R3], nor [R1](x.md).\n"
    first, second = with_footnotes([said, "Again.[^R1]\n"], named)
    assert first == (
        f"It is so[^r-{one.mark}][^r-{two.mark}]. `x[R1]`[^r-{two.mark}]\n\n"
        f"```\n[R1]\n```\n\nNo [R3], nor [R1](x.md).\n\n"
        f"[^r-{one.mark}]: `a.rs:1`.\n[^r-{two.mark}]: `a.rs:3-7`.\n"
    )
    assert second == f"Again.[^r-{one.mark}]\n"  # it is defined above
    assert with_footnotes([first, second], named) == [first, second]
    assert with_ids(first, named) == "It is so[R1][R2]. `x[R1]`[R2]\n\n```\n[R1]\n```\n\nNo [R3], nor [R1](x.md).\n"
    assert with_ids(first, {"R7": two}).endswith(f"[^r-{one.mark}]: `a.rs:1`.\n")
    assert with_footnotes([said], {}) == [said]


@pytest.mark.parametrize(
    ("claimed", "kinds"),
    [
        ("“waits until it hangs” [R2]", ["misquoted"]),
        ("“until it hangs” [R2]", []),  # three words may be a way of speaking
        ("「等待工作进程终止吧」[R2]", ["misquoted"]),
        ("「等待工作进程终」[R2]", []),
        ("“waits until it hangs”", []),
        ("Since 2.4 it waits [R2].", []),  # an amount
        ("Since v2.4 it waits [R2].", ["not-in-reference"]),
        ("Since 2.4.1 it waits [R2].", ["not-in-reference"]),
        ("自2.4.1版起等待【R2】。", ["not-in-reference"]),
        ("`stop_worker` waits. `kill_worker` does not [R2].", ["not-in-reference"]),
        ("`kill_worker` does not. `stop_worker` waits [R2].", []),
        ("`stop_worker` waits: `--force` is given [R2].", ["not-in-reference"]),
        ("`Worker::stop_worker` waits.[R2] `--force` is another matter.", []),
    ],
)
def test_what_is_cited_has_to_stand_there(claimed: str, kinds: list[str]) -> None:
    one, two, *_ = passages_of(RUST.encode(), "a.rs")
    (text,) = with_footnotes([claimed], {"R1": one, "R2": two})
    known = {one.mark: one, two.mark: two}
    assert [finding.kind for finding in citation_findings(text, known, (), section=1)] == kinds


@pytest.mark.parametrize(
    ("claim", "text", "kinds"),
    [
        ("red green blue grey", "Red and green.[^1]", []),  # half of its terms
        ("red green blue grey", "Red alone.[^1]", ["uncited-claim"]),
        ("red green blue grey", "Red and green.", ["uncited-claim"]),
        ("5 red things", "Red things.[^1]", ["uncited-claim"]),
        ("红绿蓝灰黑白", "红绿蓝。[^1]", []),  # two of its five pairs
        ("红绿蓝灰黑白", "红绿。[^1]", ["uncited-claim"]),
    ],
)
def test_a_claim_is_made_from_half_of_its_terms_on(claim: str, text: str, kinds: list[str]) -> None:
    assert [finding.kind for finding in citation_findings(text, {}, [claim], section=1)] == kinds


# What requests quote


def test_what_says_most_is_quoted_within_the_tokens() -> None:
    known = passages_of(RUST.encode(), "a.rs")
    (ranked, nothing) = rankings(known, ["restart after a pause", "?"])
    assert ranked[0] is known[2]
    assert nothing == []
    size = len(shown_passage("R100", known[2]))
    assert within_tokens(ranked, size, len) == [known[2]]
    assert within_tokens(ranked, size - 1, len) != [known[2]]
    assert known[2] not in within_tokens(ranked, 10_000, len, taken=[known[2]])
    chinese = passages_of("# 管道\n\n缓冲区已满时写入方等待。\n\n# 信号\n\n阻塞信号之后再创建线程。\n".encode(), "a.md")
    assert rankings(chinese, ["信号"])[0] == [chinese[1]]  # a word of two characters


def test_most_of_the_prompts_is_one_prefix_with_brief_and_references(tmp_path: Path) -> None:
    place = shipped(tmp_path / "workspace")
    shutil.copytree(ROOT / "src/expand/ledger", place / "code")
    (place / "spec.pdf").write_bytes(pdf(PDF_TEXT))
    for name, said in (("book", "references: [spec.pdf]"), ("03", "references: [code/]\nvoice: [04]")):
        path = place / f"outlines/{name}.yaml"
        path.write_text(path.read_text(encoding="utf-8") + f"{said}\n", encoding="utf-8")
    titles = [section.title.say("en") for section in Workspace.open(place).outline("03").sections]
    brief = {
        "packages": {"libc": "0.2.177"},
        "notes": ["Errors are io::Error."],
        "sections": [{"title": t} for t in titles],
    }
    finished = place / Workspace.open(place).outline("04").source
    finished.write_text((ROOT / "docs/architecture.md").read_text(encoding="utf-8"), encoding="utf-8")
    (place / "briefs").mkdir()
    (place / "briefs/03.yaml").write_text(json.dumps(brief), encoding="utf-8")
    counter = TokenCounter("gpt-4.1")
    with ScriptedServer(ratio=0.8) as server:
        ran = expand(place, "chapter", "03", "--model", "gpt-4.1", "--base-url", server.base_url)
        assert ran.code in (0, 5)
    sent = [request for request in server.requests if "/0/" not in request.headers["X-Client-Request-Id"]]
    systems = {request.body["messages"][0]["content"] for request in sent}
    assert len(systems) == 1
    system = systems.pop()
    assert "What the sections share" in system  # the brief
    voice = [line for line in finished.read_text(encoding="utf-8").splitlines() if len(line) > 60]
    assert sum(line in system for line in voice) > 5
    assert len(re.findall(r"^\[R\d+\] code/", system, re.MULTILINE)) > 3
    users = [request.body["messages"][1]["content"] for request in sent]
    assert sum("Passages of references for this section" in user for user in users) > len(users) / 2
    prefix = counter.count(system)
    share = prefix * len(users) / sum(prefix + counter.count(user) for user in users)
    assert share >= 0.7
    assert 2500 < counter.count(system.partition("are given passages")[2].partition("\n>>>")[0]) < 3100


# Where answers are cut, runs are killed, and documents keep their form


def test_a_citation_may_be_cut_in_two(tmp_path: Path) -> None:
    place = cited(tmp_path)
    script = Script(ratio=0.6)

    def write(sent: SentRequest) -> Answer | str:
        text = f"It waits [{name_of(sent, 'fn stop_worker')}], then it ends.\n"
        if "It waits [R\n>>>" in sent.last_user_message:
            return text
        some = script.written(sent)[0]
        if (sent.section, sent.purpose) == (3, "draft"):
            return Answer(text=f"{some}\n\n{text[:11]}", finish=Finish.LENGTH, usage=None, model="gpt-4.1")
        return some

    run(place, ScriptedAuthor(write=write), concurrency=1)
    assert re.search(r"^It waits\[\^r-\w{8}\], then it ends\.$", draft_of(place), re.MULTILINE)


def test_what_was_bought_with_the_same_passages_is_not_bought_again(tmp_path: Path) -> None:
    place = cited(tmp_path)
    run(place, author(CITING))
    before = draft_of(place)
    (place / "drafts/07.md").unlink()
    assert run(place, author(CITING)).attempts == 0
    assert draft_of(place) == before
    (place / "drafts/07.md").unlink()
    (place / "code/worker.rs").write_text(RUST.replace("worker.wait()", "worker.wait_long()"), encoding="utf-8")
    assert run(place, author(CITING)).attempts > 0  # other passages make another question
    assert "`code/worker.rs:3-7`." in draft_of(place)


def test_a_document_that_keeps_its_form_gets_footnotes_with_its_line_ends(tmp_path: Path) -> None:
    place = cited(tmp_path, outline="layout: keep\nreferences: [code/]\n")
    source = place / "chapters/07_signals.md"
    source.write_bytes(source.read_bytes().replace(b"\n", b"\r\n"))
    run(place, author({2: lambda sent: f"It waits [{name_of(sent, 'fn stop_worker')}]."}))
    draft = draft_of(place)
    assert re.search(r"It waits\[\^r-\w{8}\]\.\r\n", draft)
    assert re.search(r"\r\n\[\^r-\w{8}\]: `code/worker\.rs:3-7`\.\r\n", draft)
    assert "\n" not in draft.partition("\n<!-- expand")[0].replace("\r\n", "")
    assert run(place, author({})).attempts == 0


def test_a_chinese_chapter_is_checked_alike(tmp_path: Path) -> None:
    place = cited(tmp_path)
    says: dict[int, Says] = {
        1: lambda sent: (
            f"用 `--grace` 设置【{name_of(sent, 'GRACE_PERIOD')}】。它“会一直等待到工作进程结束为止”【R98】。"
        ),
    }
    result = run(place, author(says, repairs=shown), language="zh")
    assert [(kind, section) for kind, section, _ in found(result)] == [("unknown-citation", 1), ("not-in-reference", 1)]
    assert "`code/worker.rs:15-16`." in (place / "drafts/07.zh.md").read_text(encoding="utf-8")


def test_a_section_that_is_accepted_alone_takes_its_footnotes_along(tmp_path: Path) -> None:
    place = cited(tmp_path, outline="layout: keep\nreferences: [code/]\n")
    run(place, author(dict.fromkeys((2, 3), lambda sent: f"It waits [{name_of(sent, 'fn stop_worker')}].")))
    (note,) = set(re.findall(r"\[\^r-\w{8}\]", draft_of(place)))
    assert draft_of(place).count(f"{note}: ") == 1
    assert expand(place, "accept", "07", "--section", "3").code == 0
    source = (place / "chapters/07_signals.md").read_text(encoding="utf-8")
    assert source.count(f"{note}.") == 1
    assert source.count(f"{note}: `code/worker.rs:3-7`.") == 1
