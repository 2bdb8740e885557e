"""The pytest plugin, as users' own tests meet it; the scripted author."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from workspaces import small

from expand import AttemptFailedError, Failure, Finish, Message, Request, Workspace
from expand.testing import Behaviour, ScriptedAuthor
from expand.testing.runs import copy_workspace, drafted
from expand.testing.scripted_author import FAULTS

PASSING = """
def test_chapter_07(expand_draft):
    drafted = expand_draft("07")
    drafted.assert_kept()
    drafted.assert_topics_asked()
    drafted.assert_asked(2, "Named pipes", "lines.")
    assert "Name every version." in drafted.requests[0].prompt_text
    assert drafted.section(3).startswith("## 3. Checklist")
    assert [s.status for s in drafted.chapter.sections] == ["drafted"] * 3
    assert drafted.events


def test_half_is_asked_for_again(expand_draft, scripted_author):
    scripted_author.ratio = 0.5
    drafted = expand_draft("07", sections=[1], language="zh", plan="full")
    assert drafted.requests_for(1, "continue")
    assert sum(sent.asked_lines for sent in drafted.requests_for(1, "draft")) >= 40
    assert not drafted.requests_for(2)
    drafted.assert_topics_asked()


def test_the_users_own_answers(expand_draft, scripted_author):
    scripted_author.write = lambda sent: f"Mine for {sent.section}.\\n"
    assert "Mine for 3." in expand_draft("07", sections=[3]).text


def test_a_bad_evening(expand_draft, scripted_author):
    scripted_author.script = ["rate_limited", "server_error", "timeout", "normal"]
    drafted = expand_draft("07", sections=[3], concurrency=1)
    assert [sent.behaviour for sent in drafted.requests][:4] == scripted_author.script
    assert drafted.chapter.sections[0].status == "drafted"


def test_the_users_own_folder_is_left_alone(expand_draft, expand_workspace, request):
    expand_draft("07", sections=[3])
    assert expand_workspace.draft_path("07").is_file()
    assert not (request.config.rootpath / "drafts").exists()
    assert not (request.config.rootpath / ".expand").exists()
    assert (expand_workspace.root / ".expand" / "ledger.db").is_file()
    assert not (expand_workspace.root / ".git").exists()
"""

FAILING = """
def test_refusals_block(expand_draft, scripted_author):
    scripted_author.behaviour = "refusal"
    expand_draft("07", sections=[3]).assert_kept()


def test_a_prompt_that_lacks_it(expand_draft):
    expand_draft("07", sections=[2]).assert_asked(2, "Named pipes", "quantum foam")


def test_nothing_was_sent(expand_draft):
    expand_draft("07", sections=[2]).assert_asked(3, "Checklist")


def test_wrong_chapter(expand_draft):
    expand_draft("17")
"""

COPY = """
def test_a_copy(expand_workspace):
    assert expand_workspace.chapter_ids() == ("07",)
"""

IN_A_LOOP = """
import asyncio


async def _inside(expand_draft):
    return expand_draft("07", sections=[3])


def test_in_a_running_loop(expand_draft):
    assert asyncio.run(_inside(expand_draft)).chapter.sections[0].status == "drafted"
"""


def users_repository(folder: Path, **tests: str) -> Path:
    """A repository with a book of its user's, and tests beside it."""
    small(folder)
    (folder / ".git").mkdir()
    (folder / "tests").mkdir()
    (folder / "pytest.ini").write_text("[pytest]\ntestpaths = tests\n", encoding="utf-8")
    for name, text in tests.items():
        (folder / "tests" / f"test_{name}.py").write_text(text, encoding="utf-8")
    return folder


def pytest_in(
    folder: Path, *arguments: str, plugins: Sequence[str] = ("expand.pytest_plugin",)
) -> subprocess.CompletedProcess[str]:
    """pytest as a process of its own, with these plugins alone: to load those that are installed here takes two
    seconds."""
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *(f"-p{name}" for name in plugins), *arguments],
        cwd=folder, env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True, text=True, check=False, timeout=150,
    )  # fmt: skip


def test_users_tests_pass(tmp_path: Path) -> None:
    """A copy keeps a ledger of its own, not the one that the user's workspace names, which may be on a server."""
    place = users_repository(tmp_path, book=PASSING, loop=IN_A_LOOP)
    (place / "expand.toml").write_text('ledger = "postgresql://127.0.0.1:1/books"\n[author]\nmodel = "scripted"\n')
    ran = pytest_in(place)
    assert ran.returncode == 0, ran.stdout
    assert "6 passed" in ran.stdout


def test_users_tests_pass_side_by_side_and_without_asyncio_plugins(tmp_path: Path) -> None:
    place = users_repository(tmp_path, copy=COPY, loop=IN_A_LOOP)
    ran = pytest_in(place, "-n", "2", "-W", "error", plugins=("expand.pytest_plugin", "xdist"))
    assert ran.returncode == 0, ran.stdout
    assert "2 passed" in ran.stdout


def test_failing_tests_say_why(tmp_path: Path) -> None:
    place = users_repository(tmp_path, book=FAILING)
    ran = pytest_in(place, "--tb=short")
    assert "4 failed" in ran.stdout
    for text in (
        "chapter 07 misses its contract:",
        "the model refused to write",
        "requests for section 2 says:\nE     quantum foam",
        "nothing was sent for section 3",
        "chapter '17' has no outline; did you mean 07?",
    ):
        assert text in ran.stdout, ran.stdout


def test_a_workspace_elsewhere_is_named_in_the_settings(tmp_path: Path) -> None:
    small(tmp_path / "docs" / "book")
    (tmp_path / "test_it.py").write_text(COPY, encoding="utf-8")
    ini = "[pytest]\nexpand_workspace = docs/book\n"
    (tmp_path / "pytest.ini").write_text(ini, encoding="utf-8")
    ran = pytest_in(tmp_path)
    assert ran.returncode == 0, ran.stdout
    (tmp_path / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    assert "no expand.toml in" in pytest_in(tmp_path).stdout


def test_loading_the_plugin_loads_nothing_else() -> None:
    code = "import pytest, sys; old = {*sys.modules}; import expand.pytest_plugin; print(*sorted({*sys.modules} - old))"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert set(ran.stdout.split()) == {"expand", "expand.pytest_plugin"}


def asked(lines: int = 20, section: int = 1) -> tuple[Request, str]:
    words = f"Write about this topic only: Blocking signals\n\nWrite {lines} lines."
    message = Message(role="user", content=words)
    return Request(model="m", messages=(message,), max_output_tokens=900), f"07/{section}/draft/a1"


async def test_the_same_script_gives_the_same_text_in_any_order() -> None:
    one, other = ScriptedAuthor(), ScriptedAuthor()
    texts: list[dict[str, str]] = [{}, {}]
    for author, sections, kept in ((one, (1, 2, 3), texts[0]), (other, (3, 1, 2), texts[1])):
        for section in sections:
            request, name = asked(section=section)
            kept[name] = (await author.complete(request, client_request_id=name)).text
    assert texts[0] == texts[1]
    lines = [line for text in texts[0].values() for line in text.splitlines() if "." in line]
    assert len({*lines}) == len(lines) - 2, "only the line that names the topic comes three times"


@pytest.mark.parametrize(("ratio", "lines"), [(1.0, 20), (0.5, 10), (2.0, 40)])
async def test_the_ratio_of_the_lines_asked_is_delivered(ratio: float, lines: int) -> None:
    request, name = asked()
    answer = await ScriptedAuthor(ratio=ratio).complete(request, client_request_id=name)
    assert len(answer.text.splitlines()) == lines
    assert answer.usage is not None
    assert answer.usage.completion > 0


@pytest.mark.parametrize(
    ("behaviour", "finish", "has"),
    [
        ("half", Finish.STOP, "About Blocking signals."),
        ("cut_off", Finish.LENGTH, "About Blocking signals."),
        ("cut_code", Finish.LENGTH, "let mut total"),
        ("open_fence", Finish.STOP, "fn open() {}"),
        ("refusal", Finish.REFUSAL, "I can't help"),
        ("empty", Finish.STOP, ""),
        ("same_sentence", Finish.STOP, "The scheduler decides.\nThe scheduler decides."),
        ("wrong_language", Finish.STOP, "是这里的主题"),
        ("bills_more", Finish.STOP, "About"),
    ],
)
async def test_behaviours_of_the_author(behaviour: Behaviour, finish: Finish, has: str) -> None:
    request, name = asked()
    answer = await ScriptedAuthor(behaviour=behaviour).complete(request, client_request_id=name)
    assert answer.finish is finish
    assert has in answer.text
    assert answer.usable is (behaviour not in ("refusal", "empty"))
    if behaviour == "bills_more":
        assert answer.usage is not None
        assert answer.usage.total > 5_000
    if behaviour == "cut_off":
        assert not answer.text.endswith((".", "\n"))


@pytest.mark.parametrize("behaviour", list(FAULTS))
async def test_failures_of_the_author(behaviour: Behaviour) -> None:
    request, name = asked()
    with pytest.raises(AttemptFailedError) as raised:
        await ScriptedAuthor(behaviour=behaviour).complete(request, client_request_id=name)
    assert raised.value.failure is FAULTS[behaviour].failure


@pytest.mark.parametrize("behaviour", ["normal", "cut_code"])
async def test_the_author_hands_out_text_in_pieces(behaviour: Behaviour) -> None:
    request, name = asked()
    pieces: list[str] = []
    author = ScriptedAuthor(behaviour=behaviour, chunk_characters=7)
    answer = await author.complete(request, client_request_id=name, on_text=pieces.append)
    assert "".join(pieces) == answer.text
    assert {len(piece) for piece in pieces[:-1]} == {7}


async def test_an_author_that_is_interrupted_leaves_half_of_the_text() -> None:
    request, name = asked()
    whole = await ScriptedAuthor().complete(request, client_request_id=name)
    pieces: list[str] = []
    author = ScriptedAuthor(behaviour="broken_stream")
    with pytest.raises(AttemptFailedError):
        await author.complete(request, client_request_id=name, on_text=pieces.append)
    assert "".join(pieces) == whole.text[: len(whole.text) // 2]


async def test_a_refusal_is_not_handed_out() -> None:
    request, name = asked()
    pieces: list[str] = []
    await ScriptedAuthor(behaviour="refusal").complete(request, client_request_id=name, on_text=pieces.append)
    assert pieces == []


async def test_no_usage_own_answers_and_one_behaviour_a_section() -> None:
    lost = AttemptFailedError(Failure.DISCONNECTED, "gone")
    author = ScriptedAuthor(answers=["One.", lost], by_section={2: "empty"}, behaviour="no_usage")
    request, name = asked()
    assert (await author.complete(request, client_request_id=name)).text == "One."
    with pytest.raises(AttemptFailedError, match="gone"):
        await author.complete(request, client_request_id=name)
    assert (await author.complete(request, client_request_id=name)).usage is None
    request, name = asked(section=2)
    assert not (await author.complete(request, client_request_id=name)).text
    assert [sent.behaviour for sent in author.requests] == ["own", "own", "no_usage", "empty"]


def test_a_copy_has_what_a_run_needs_and_nothing_else(tmp_path: Path) -> None:
    place = small(tmp_path / "book")
    (place / ".expand").mkdir()
    (place / "drafts").mkdir()
    (place / "prompts").mkdir()
    (place / "prompts" / "length.j2").write_text("x", encoding="utf-8")
    (place / "chapters" / "large.bin").write_bytes(bytes(3 * 2**20))
    copy = copy_workspace(Workspace.open(place), place / "copy")
    names = {p.relative_to(copy.root).as_posix() for p in copy.root.rglob("*") if p.is_file()}
    assert names == {
        "expand.toml",
        "outlines/book.yaml",
        "outlines/07.yaml",
        "chapters/07_signals.md",
        "prompts/length.j2",
    }


def test_errors_of_a_trial_are_raised_where_it_was_asked_for(tmp_path: Path) -> None:
    workspace = Workspace.open(small(tmp_path))
    with pytest.raises(TypeError, match="no option 'sektions'"):
        drafted(workspace, ScriptedAuthor(), "07", sektions=[1])
