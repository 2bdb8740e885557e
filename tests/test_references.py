"""References: passages that sections cite, the footnotes made of the citations, and what is checked of them."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from workspaces import OUTLINE, draft_of, small

from expand import RunResult, Workspace, expand_chapter
from expand.ledger import verify
from expand.testing import ScriptedAuthor, SentRequest
from expand.testing.behaviours import TextGenerator, written

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
    generator = TextGenerator()
    said: set[int] = set()

    def write(sent: SentRequest) -> str:
        if sent.purpose == "repair" and repairs is not None:
            return repairs(sent)
        text = written(sent.question, "normal", generator=generator, ratio=1.0)[0]
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
    options = {"brief": False, "model": "gpt-4.1", **options}
    return asyncio.run(expand_chapter(opened, "07", author=writer, **options))


KINDS = {"unknown-citation", "misquoted", "not-in-reference", "uncited-claim"}


def found(result: RunResult) -> list[tuple[str, int, str]]:
    return [(f.kind, f.section, f.message) for f in result.chapter.every_finding if f.kind in KINDS]


def test_citations_become_footnotes_with_file_and_lines(tmp_path: Path) -> None:
    place = cited(tmp_path)
    result = run(place, author(CITING))
    print(draft_of(place))
    print(result.chapter.every_finding)
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
