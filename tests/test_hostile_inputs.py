"""A few hostile inputs of each kind; ``python -m benchmarks.hostile`` runs as many as one likes."""

from __future__ import annotations

from pathlib import Path

import pytest
from hostile_inputs import kinds
from hypothesis import HealthCheck, given, settings


@pytest.mark.parametrize("kind", kinds())
def test_hostile_inputs_are_taken_or_refused_with_a_message(tmp_path: Path, kind: str) -> None:
    hostile = kinds()[kind]

    @settings(max_examples=60, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(hostile.inputs)
    def check(text: str) -> None:
        hostile.use(tmp_path, text)

    check()


@pytest.mark.parametrize("kind", kinds())
def test_what_is_made_hostile_was_good(tmp_path: Path, kind: str) -> None:
    hostile = kinds()[kind]
    assert hostile.use(tmp_path, hostile.texts[0])


def test_every_kind_has_its_share() -> None:
    assert sum(kind.share for kind in kinds().values()) == pytest.approx(1)
    assert {kind.made_from(7) == kind.made_from(7) for kind in kinds().values()} == {True}
