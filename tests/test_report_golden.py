"""Each report in each format and language, to the byte. UPDATE_GOLDEN=1 writes them anew."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from report_books import data_of, filled

from expand.drafting.accept import open_draft, review
from expand.reports.budget_report import budget_report
from expand.reports.formats import FORMATS, Format, render
from expand.reports.plan_report import plan_report
from expand.reports.report_model import LANGUAGES, Report
from expand.reports.status_report import status_report
from expand.settings import Settings
from expand.workspace import Workspace

GOLDEN = Path(__file__).parent / "golden" / "report"
ENDINGS = {"table": "txt", "markdown": "md"}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return filled(tmp_path_factory.mktemp("golden") / "book")


def report(place: Path, name: str, language: str) -> Report:
    data = data_of(place)
    if name == "budget":
        return budget_report(data, language)
    if name == "plan":
        return plan_report(data, language)
    workspace, settings = Workspace(root=place), Settings(model="m")
    result = review(open_draft(workspace, settings, data.book, "07"), workspace, settings)
    return status_report(data, {"07": result}, language)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("name", ["budget", "plan", "status"])
def test_is_as_it_was_looked_at(place: Path, name: str, form: Format, language: str) -> None:
    shown = render(report(place, name, language), form)

    path = GOLDEN / f"{name}.{language}.{ENDINGS.get(form, form)}"
    if os.environ.get("UPDATE_GOLDEN"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(shown, encoding="utf-8")
    assert shown == path.read_text(encoding="utf-8")


def test_same_figures_make_the_same_page(place: Path) -> None:
    first = render(report(place, "status", "en"), "html")

    assert first == render(report(place, "status", "en"), "html")


@pytest.mark.parametrize("width", [20, 40, 60, 80, 100, 132])
@pytest.mark.parametrize("language", LANGUAGES)
def test_no_figure_is_cut_on_a_narrow_terminal(place: Path, language: str, width: int) -> None:
    wide = render(report(place, "status", language), "table", width=400)
    narrow = render(report(place, "status", language), "table", width=width)

    def figures(text: str) -> set[str]:
        return set(re.findall(r"[+-]?\d[\d,.]*%?", text))

    assert figures(wide) <= figures(narrow)
    assert "…" not in narrow
