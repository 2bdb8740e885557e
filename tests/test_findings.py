"""Precision and recall of the findings on the labelled texts, and what the reference says of them."""

from __future__ import annotations

import pytest
from labelled_texts import Figures, cases, figures

from expand.checks import repeats, requirements
from expand.checks.finding import KINDS
from expand.checks.text_defects import FOREIGN_LETTERS
from expand.cli import main
from expand.drafting.read_through import READ_KINDS

EVERY = cases()
LABELLED = sorted({case.kind for case in EVERY})
OF_TRANSLATION = {"untranslated", "off-glossary"}
BY_RUN = {"empty", "failed-code", "over-plan", "not-asked", "breaks-link", *READ_KINDS, *OF_TRANSLATION} - {
    "wrong-pointer"
}
"""What a run reports of its requests, and what compilers, readers and other pages show: no text of the draft does."""


def test_every_kind_that_may_cause_exit_5_is_labelled() -> None:
    counting = {kind for kind, about in KINDS.items() if about.severity != "note"}
    assert counting - BY_RUN == set(LABELLED)


@pytest.mark.parametrize("kind", LABELLED)
def test_findings_are_right_and_complete(kind: str) -> None:
    own = figures([case for case in EVERY if case.kind == kind])
    assert own.precision >= 0.95
    assert own.recall >= 0.90


def test_figures() -> None:
    assert figures([]) == Figures(0, 0, 0)
    some = Figures(found=9, missed=1, alarms=3)
    assert (some.precision, some.recall) == (0.75, 0.9)


def test_the_rules_state_the_thresholds() -> None:
    assert f"below {requirements.SHORT:.0%}".replace("%", " %") in KINDS["short"].rule
    assert f"above {requirements.LONG:.0%}".replace("%", " %") in KINDS["long"].rule
    assert f"likeness of {requirements.SAME_TOPIC}" in KINDS["topic-missing"].rule
    assert f"{requirements.TERMS:.0%} of its terms".replace("%", " %") in KINDS["topic-missing"].rule
    assert f"{repeats.LEAST_WORDS} words ({repeats.LEAST_CJK} Chinese" in KINDS["repeats"].rule
    assert f"{FOREIGN_LETTERS} letters" in KINDS["wrong-language"].rule
    assert f"at least {repeats.CHANGED:.0%}".replace("%", " %") in KINDS["repeats"].rule


def test_a_kind_is_explained_without_a_chapter(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["review", "--explain", "cut"])
    assert ended.value.code in (0, None)
    said = capsys.readouterr().out
    assert KINDS["cut"].rule in said
    assert "<!-- expand: ignore cut -->" in said
    with pytest.raises(SystemExit) as ended:
        main(["review", "--explain", "cuts"])
    assert ended.value.code == 2
    assert "give one of short, long," in capsys.readouterr().err
