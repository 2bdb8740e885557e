"""`expand reference add`: what is fetched, what is kept of it, and what is refused."""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest
import yaml
from test_references import PDF_TEXT, author, name_of, pdf, run
from workspaces import OUTLINE, draft_of, expand, small

from expand.references import reference_files

PAGES: dict[str, tuple[str, bytes]] = {}


class Site(BaseHTTPRequestHandler):
    """Serves ``PAGES`` and notes the headers that it is sent."""

    seen: ClassVar[list[dict[str, str]]] = []

    def do_GET(self) -> None:
        self.seen.append(dict(self.headers))
        if self.path == "/away":
            self.send_response(302)
            self.send_header("Location", "/manual")
            self.end_headers()
            return
        kind, data = PAGES.get(self.path, ("", b""))
        self.send_response(200 if kind else 404)
        self.send_header("Content-Type", kind or "text/plain")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def site() -> Iterator[str]:
    PAGES.clear()
    Site.seen.clear()
    PAGES["/manual"] = ("text/html; charset=utf-8", b"<h1>Pipes</h1><p>A pipe holds 65536 bytes.</p>")
    server = ThreadingHTTPServer(("127.0.0.1", 0), Site)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_a_page_is_saved_with_address_date_and_hash_and_can_be_cited(
    tmp_path: Path, site: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-never-sent-anywhere")
    place = small(tmp_path)
    ran = expand(place, "reference", "add", f"{site}/manual", "--json")
    made = ran.json
    assert (ran.code, made["changed"], made["bytes"]) == (0, True, len(PAGES["/manual"][1]))
    assert re.fullmatch(r"references/127-0-0-1-manual\.html", made["path"])
    assert (place / made["path"]).read_bytes() == PAGES["/manual"][1]
    saved = yaml.safe_load((place / f"{made['path']}.saved.yaml").read_text(encoding="utf-8"))
    assert saved == {
        "url": f"{site}/manual",
        "date": made["date"],
        "sha256": hashlib.sha256(PAGES["/manual"][1]).hexdigest(),
    }
    assert "sk-never" not in str(Site.seen)
    assert not {"Authorization", "Cookie"} & set(Site.seen[0])
    (place / "outlines/07.yaml").write_text(OUTLINE + "references: [references/]\n", encoding="utf-8")
    run(place, author({1: lambda sent: f"It holds 65536 bytes [{name_of(sent, 'A pipe holds')}]."}))
    assert f"]: <{site}/manual> ({made['date']}), `{made['path']}:1`." in draft_of(place)
    assert "sha256" not in draft_of(place)


def test_the_same_page_again_changes_nothing_and_a_persons_copy_is_kept(tmp_path: Path, site: str) -> None:
    place = small(tmp_path)
    ran = expand(place, "reference", "add", f"{site}/manual", "--name", "m.html")
    assert (ran.code, ran.out) == (0, "references/m.html\n")
    again = expand(place, "reference", "add", f"{site}/manual", "--name", "m.html")
    assert (again.code, again.out) == (0, "references/m.html\n")
    assert "unchanged since" in again.err
    PAGES["/manual"] = ("text/html", b"<p>A pipe holds 4096 bytes.</p>")
    assert expand(place, "reference", "add", f"{site}/manual", "--name", "m.html", "--json").json["changed"] is True
    path = place / "references/m.html"
    assert path.read_bytes() == PAGES["/manual"][1]
    path.write_text("<p>Mine.</p>", encoding="utf-8")
    refused = expand(place, "reference", "add", f"{site}/manual", "--name", "m.html")
    assert refused.code == 2
    assert "references/m.html: this file was changed since it was saved; give --name, or move it" in refused.err
    assert path.read_text(encoding="utf-8") == "<p>Mine.</p>"
    (place / "references/own.html").write_text("<p>Own.</p>", encoding="utf-8")
    assert "this file is no saved page" in expand(place, "reference", "add", f"{site}/manual", "--name", "own.html").err
    PAGES["/other"] = ("text/plain", b"Other.")
    expand(place, "reference", "add", f"{site}/other", "--name", "o.txt")
    assert (
        f"this is the page {site}/other" in expand(place, "reference", "add", f"{site}/manual", "--name", "o.txt").err
    )


def test_the_name_says_what_the_file_is(tmp_path: Path, site: str) -> None:
    place = small(tmp_path)
    PAGES["/spec"] = ("application/pdf", pdf(PDF_TEXT))
    PAGES["/src/lib.rs"] = ("text/plain", b"fn main() {}\n")
    PAGES["/guide/index.html?v=2"] = ("text/html", b"<p>Guide.</p>")
    PAGES["/latin"] = ("text/plain; charset=iso-8859-1", "caf\xe9".encode("latin-1"))
    names = {
        "/spec": "127-0-0-1-spec.pdf",
        "/src/lib.rs": "127-0-0-1-src-lib.rs",
        "/guide/index.html?v=2": "127-0-0-1-guide-index-v-2.html",
        "/latin": "127-0-0-1-latin.txt",
        "/away": "127-0-0-1-away.html",
    }
    for path, name in names.items():
        assert expand(place, "reference", "add", site + path).out == f"references/{name}\n"
    assert (place / "references/127-0-0-1-latin.txt").read_text(encoding="utf-8") == "caf\xe9"


def test_what_cannot_be_saved_is_refused(tmp_path: Path, site: str, monkeypatch: pytest.MonkeyPatch) -> None:
    place = small(tmp_path)
    PAGES["/logo"] = ("image/png", b"\x89PNG\0\0")
    PAGES["/empty"] = ("text/html", b"<script>run()</script>")
    PAGES["/large"] = ("text/plain", b"x" * 1001)
    PAGES["/fits"] = ("text/plain", b"x" * 1000)
    monkeypatch.setattr(reference_files, "MOST_BYTES", 1000)
    for url, said in (
        ("file:///etc/passwd", "is no address of a web page"),
        ("ftp://127.0.0.1/a", "is no address of a web page"),
        ("http://[half", "is no address of a web page"),
        ("manual", "is no address of a web page"),
        (site.replace("http://", "http://me:word@"), "holds a user name or a password"),
        (f"{site}/missing", "cannot be fetched: 404 Not Found"),
        ("http://127.0.0.1:9/closed", "cannot be fetched:"),
        (f"{site}/logo", "it is a binary file"),
        (f"{site}/empty", "there is no text in it"),
        (f"{site}/large", "has more than 1,000 bytes"),
    ):
        ran = expand(place, "reference", "add", url)
        assert (ran.code, ran.out) == (2, "")
        assert said in ran.err
        assert "Traceback" not in ran.err
    for name in ("../a.txt", ".a.txt", "a/b.txt", "a.saved.yaml"):
        assert expand(place, "reference", "add", f"{site}/fits", "--name", name).code == 2
    assert not (place / "references").exists() or list((place / "references").iterdir()) == []
    assert expand(place, "reference", "add", f"{site}/fits").code == 0
    monkeypatch.setattr(reference_files, "MOST_SECONDS", -1.0)
    assert "it took longer than" in expand(place, "reference", "add", f"{site}/fits").err
