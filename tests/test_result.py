"""What a run came to: exit codes and the JSON of the contract."""

from __future__ import annotations

from dataclasses import replace

import pytest

from expand.budget import Balance, Limit
from expand.checks import Finding
from expand.drafting.events import SectionStatus
from expand.drafting.results import ChapterResult, RunResult, SectionResult
from expand.llm.types import Usage

SHORT = Finding(
    kind="short",
    section=2,
    line=4,
    severity="warning",
    message="60 of 100 lines",
    remedy="run again",
    mendable=False,
)
NOTE = replace(SHORT, kind="few-examples", severity="note")


def section(
    number: int = 1,
    *,
    lines: int = 100,
    status: SectionStatus = "drafted",
    findings: tuple[Finding, ...] = (),
) -> SectionResult:
    return SectionResult(
        number=number,
        title=f"S{number}",
        target_lines=100,
        lines=lines,
        status=status,
        attempts=3,
        answers=2,
        usage=Usage(prompt=50, completion=70, cached=10),
        findings=findings,
    )


def run(
    *sections: SectionResult,
    findings: tuple[Finding, ...] = (),
    used: int = 400,
    stopped_by: str = "",
    interrupted: bool = False,
    limit: int | None = 1_000,
) -> RunResult:
    chapter = ChapterResult(
        id="03",
        draft="drafts/03.md",
        language="en",
        plan="full",
        sections=sections,
        findings=findings,
    )
    return RunResult(
        chapters=(chapter,),
        balance=Balance(scope="book", limit=Limit(tokens=limit), used_tokens=used, reserved_tokens=100),
        attempts=3,
        answers=2,
        seconds=1.23456,
        stopped_by=stopped_by,
        interrupted=interrupted,
    )


@pytest.mark.parametrize(
    ("result", "code"),
    [
        (run(section()), 0),
        (run(section(status="reused"), section(2, status="edited")), 0),
        (run(section(findings=(NOTE,)), findings=(NOTE,)), 0),
        (run(section(findings=(SHORT,))), 5),
        (run(section(), findings=(SHORT,)), 5),
        (run(section(status="refused", findings=(SHORT,))), 3),
        (run(section(), used=901), 3),
        (run(section(), used=10_000, limit=None), 0),
        (run(section(status="refused"), stopped_by="no key"), 4),
        (run(section(status="failed"), stopped_by="no key", interrupted=True), 130),
    ],
)
def test_exit_codes_go_by_what_is_gravest(result: RunResult, code: int) -> None:
    assert result.exit_code == code


def test_the_json_is_that_of_the_contract() -> None:
    result = run(section(1), section(2, lines=60, findings=(SHORT,)), findings=(NOTE,))
    said = {
        "kind": "short",
        "section": 2,
        "line": 4,
        "severity": "warning",
        "message": "60 of 100 lines",
        "remedy": "run again",
    }
    first = {
        "number": 1,
        "title": "S1",
        "target_lines": 100,
        "lines": 100,
        "status": "drafted",
        "attempts": 3,
        "answers": 2,
        "tokens": {"prompt": 50, "cached": 10, "completion": 70},
        "code": None,
        "findings": [],
    }
    assert result.as_json() == {
        "chapters": [
            {
                "id": "03",
                "draft": "drafts/03.md",
                "language": "en",
                "plan": "full",
                "target_lines": 200,
                "lines": 160,
                "length_score": 83.3,
                "sections": [
                    first,
                    first | {"number": 2, "title": "S2", "lines": 60, "findings": [said]},
                ],
                "findings": [said | {"kind": "few-examples", "severity": "note"}],
            }
        ],
        "budget": {"limit": 1_000, "used": 400, "reserved": 100, "remaining": 500},
        "attempts": 3,
        "answers": 2,
        "seconds": 1.23,
    }


def test_without_a_limit_nothing_is_said_to_remain() -> None:
    budget = run(section(), limit=None).as_json()["budget"]
    assert budget == {"limit": None, "used": 400, "reserved": 100, "remaining": None}


def test_a_section_with_a_finding_above_a_note_misses_its_contract() -> None:
    one = section(findings=(SHORT,))
    assert not one.kept
    assert section().kept
