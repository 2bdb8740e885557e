"""What was spent before the ledger was kept: in tokens and, where it is known, in dollars."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest
from workspaces import small

from expand.budget import Amount
from expand.errors import InputError
from expand.outline import Allowance, Opening, opening_of
from expand.workspace import Workspace


def test_an_opening_of_unknown_cost_is_not_taken_for_free(tmp_path: Path) -> None:
    book = Workspace(root=small(tmp_path / "book")).book()
    opened = book._replace(openings=(Opening(chapters=("01", "02"), tokens=165_000),))
    assert opening_of(opened._replace(allowance=Allowance(tokens=5))) == Amount(165_000, 0)
    with pytest.raises(InputError, match=r"165,000 tokens \(01, 02\) does not say what it cost"):
        opening_of(opened._replace(allowance=Allowance(usd=Decimal(5))))
    priced = opened.openings[0]._replace(usd=Decimal("0.25"))
    paid = opened._replace(allowance=Allowance(usd=Decimal(5)), openings=(priced,))
    assert opening_of(paid) == Amount(165_000, 250_000_000_000)
