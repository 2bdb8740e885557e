"""The page in a real browser, and the reports of a very large ledger."""

from __future__ import annotations

import re
import shutil
import sqlite3
import subprocess
import time
from contextlib import closing
from pathlib import Path

import pytest
from buying import begin
from report_books import filled
from workspaces import expand

from expand.ledger import Ledger

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-sync",
    "--no-first-run",
    "--hide-scrollbars",
    "--allow-file-access-from-files",
)


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("page")
    text = expand(filled(folder / "book"), "status", "--format", "html", "--language", "zh").out
    path = folder / "status.html"
    path.write_text(text, encoding="utf-8")
    return path


def browse(folder: Path, *arguments: str) -> str:
    """Runs the browser with a profile of its own; what it printed."""
    assert CHROMIUM is not None
    command = [CHROMIUM, *FLAGS, f"--user-data-dir={folder / 'profile'}", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout


PROBE = """<iframe src="{page}" style="border:0;width:{width}px;height:900px"></iframe>
<script>
onload = () => {{
  const inner = document.querySelector("iframe").contentDocument;
  const small = [...inner.querySelectorAll("td, dd")].filter(t => t.textContent.trim())
    .map(t => t.getBoundingClientRect().height);
  document.title = [inner.documentElement.scrollWidth, inner.images.length,
    performance.getEntriesByType("resource").length,
    inner.defaultView.performance.getEntriesByType("resource").length,
    Math.min(...small).toFixed(1)].join(" ");
}};
</script>"""


@needs_chromium
@pytest.mark.parametrize("width", [390, 1200])
def test_fits_a_phone_and_loads_nothing(page: Path, tmp_path: Path, width: int) -> None:
    probe = tmp_path / "probe.html"
    probe.write_text(PROBE.format(page=page.as_uri(), width=width))

    shown = browse(tmp_path, "--virtual-time-budget=5000", "--dump-dom", probe.as_uri())

    found = re.search(r"<title>(\d+) (\d+) (\d+) (\d+) ([\d.]+)</title>", shown)
    assert found is not None
    assert int(found[1]) <= width
    assert (found[2], found[4]) == ("0", "0")
    assert float(found[5]) >= 7


@needs_chromium
def test_prints_and_shows_light_and_dark(page: Path, tmp_path: Path) -> None:
    light, dark, paper = (tmp_path / name for name in ("light.png", "dark.png", "page.pdf"))

    browse(tmp_path, f"--screenshot={light}", page.as_uri())
    browse(tmp_path, "--force-dark-mode", f"--screenshot={dark}", page.as_uri())
    browse(tmp_path, "--no-pdf-header-footer", f"--print-to-pdf={paper}", page.as_uri())

    assert light.read_bytes() != dark.read_bytes()
    assert paper.read_bytes().startswith(b"%PDF")
    assert len(paper.read_bytes()) > 20_000


_REQUESTS = """
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 200000)
INSERT INTO request (key) SELECT printf('%064x', i) FROM n"""
_ATTEMPTS = """
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 200000)
INSERT INTO attempt (id, request_key, run, owner, chapter, section, purpose, language, plan,
    model, scopes, state, prompt_estimate, output_cap, reserved_tokens, prompt, completion,
    usage_source, cost_pico, finish, answered_by, provider_request_id, reserved_at, ended_at)
SELECT printf('%016x', i), printf('%064x', i), :run, :owner, printf('%02d', i % 60), i / 60 % 8 + 1,
    CASE i % 3 WHEN 0 THEN 'draft' WHEN 1 THEN 'continue' ELSE 'repair' END, 'en', 'full',
    'model-' || (i % 2), '["book", "chapter:03", "run:0123456789"]', 'settled', 1000, 1000, 2100,
    900 + i % 200, 500, 'provider', 1000 * i, 'stop', 'model-2026', printf('req_%032x', i),
    at, at
FROM (SELECT i, strftime('%Y-%m-%dT%H:%M:%S.000000+00:00', 1790000000 + 30 * i, 'unixepoch') AS at
    FROM n)"""


@pytest.mark.slow
def test_two_hundred_thousand_attempts_are_added_up_within_a_second(tmp_path: Path) -> None:
    place = filled(tmp_path / "book")
    path = place / ".expand" / "ledger.db"
    path.unlink()
    ledger = Ledger.open(path)
    run = begin(ledger, None)
    ledger.close()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(_REQUESTS)
        connection.execute(_ATTEMPTS, {"run": run.id, "owner": run.owner})
        connection.commit()
    reading = Ledger.read(path)
    assert reading is not None

    began = time.process_time()
    found = reading.overview()
    seconds = time.process_time() - began

    reading.close()
    assert sum(part.attempts for part in found.slices) == 200_000
    assert sum(day.tokens for day in found.days) == sum(part.tokens for part in found.slices)
    assert found.slices[0].chapter == "00"
    assert seconds < 2, "a second on an idle machine"
