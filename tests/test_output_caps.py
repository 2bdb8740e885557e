"""Output caps learn from the ledger what a model's lines take."""

from __future__ import annotations

import asyncio
from pathlib import Path

from workspaces import small

from expand import RunResult, Workspace, expand_chapter
from expand.testing import ScriptedAuthor, SentRequest
from expand.testing.scripted_author import Script, billed

MODEL = "gpt-4o-mini"


def run(place: Path, author: ScriptedAuthor, **options: object) -> RunResult:
    made = expand_chapter(Workspace.open(place), "07", author=author, model=MODEL, brief=False, read=False, **options)  # type: ignore[arg-type]
    return asyncio.run(made)


def used_share(author: ScriptedAuthor, texts: list[str]) -> float:
    """The share of their output caps that answers used."""
    used = sum(billed("", text, "normal")[1] for text in texts)
    return used / sum(one.request.max_output_tokens for one in author.requests)


def noting(texts: list[str]) -> ScriptedAuthor:
    script = Script()

    def write(request: SentRequest) -> str:
        texts.append(script.written(request)[0])
        return texts[-1]

    return ScriptedAuthor(write=write)


def per_line(author: ScriptedAuthor) -> float:
    return max(one.request.max_output_tokens / one.asked_lines for one in author.requests if one.asked_lines >= 8)


def test_caps_learn_and_a_cut_answer_brings_the_ready_ones_back(tmp_path: Path) -> None:
    place = small(tmp_path)
    shares, caps = [], []
    for _ in range(4):
        texts: list[str] = []
        author = noting(texts)
        assert run(place, author, fresh=True).answers == len(texts)
        shares.append(used_share(author, texts))
        caps.append(per_line(author))
    assert caps[0] == caps[1] == 60, "the ready profile's, until eight answers are there"
    assert caps[3] < 60
    assert shares[3] > 1.5 * shares[0]
    assert shares[3] > 0.3
    cut = ScriptedAuthor(script=["cut_off"])
    run(place, cut, fresh=True)
    after = ScriptedAuthor()
    run(place, after, fresh=True)
    assert per_line(after) == 60
