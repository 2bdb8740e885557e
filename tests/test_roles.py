"""Models by role, and those that stand in for others: one ledger, one budget, and nothing bought twice."""

from __future__ import annotations

import socket
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from behaviours import Behaviour, BehaviourServer, Call, Reply
from behaviours.server import answer, error
from workspaces import Ran, draft_of, expand, rows, small, start

from expand import Workspace
from expand.client import retry_policy
from expand.drafting.run import Run
from expand.drafting.run_options import RunOptions
from expand.errors import InputError
from expand.ledger import verify
from expand.settings import Overrides, read_settings
from expand.testing import ScriptedAuthor


def _good(call: Call) -> Reply:
    return answer(call, call.good_text())


def _unavailable(call: Call) -> Reply:
    return error(503, "The model is overloaded", kind="server_error")


def _broken(call: Call) -> Reply:
    return error(500, "Internal error", kind="server_error")


def _no_quota(call: Call) -> Reply:
    return error(429, "You exceeded your current quota", code="insufficient_quota")


def _filtered(call: Call) -> Reply:
    return answer(call, "", finish="content_filter")


def _spoiled(call: Call) -> Reply:
    return answer(call, call.good_text().rstrip("\n") + "\n\n```rust\nfn main() {\n    // ... rest omitted\n}\n```\n")


def _mends(call: Call) -> Reply:
    return answer(
        call,
        "".join(f"Mended {line}\n" if line[:1].isupper() else f"{line}\n" for line in call.good_text().splitlines()),
    )


def _gone_after_three(call: Call) -> Reply:
    return _good(call) if call.number <= 3 else _no_quota(call)


BEHAVIOURS = tuple(
    Behaviour(name=name, does="", reply=reply)
    for name, reply in (
        ("good", _good), ("better", _good), ("mender", _mends), ("unavailable", _unavailable), ("no-quota", _no_quota),
        ("broken", _broken),
        ("filtered", _filtered), ("spoiled", _spoiled), ("gone-after-three", _gone_after_three),
    )
)  # fmt: skip


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry_policy, "FIRST_WAIT_SECONDS", 0.01)


@pytest.fixture
def server() -> Iterator[BehaviourServer]:
    with BehaviourServer(BEHAVIOURS) as running:
        yield running


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EXPAND_TRUST", "1")
    return small(tmp_path)


def settings(place: Path, text: str) -> None:
    (place / "expand.toml").write_text(text, encoding="utf-8")


def chapter(place: Path, server: BehaviourServer, *options: str) -> Ran:
    return expand(place, "chapter", "07", "--base-url", server.base_url, *options)


def by_model(place: Path) -> dict[str, int]:
    """Attempts that were sent, by model, as the budget report has them."""
    models = expand(place, "budget", "--format", "json").json["by_model"]
    return {row["model"]: row["attempts"] for row in models if row["attempts"]}


def settled(place: Path) -> Counter[str]:
    return Counter(model for (model,) in rows(place, "SELECT model FROM attempt WHERE state = 'settled'"))


@pytest.mark.parametrize(
    ("first", "reason", "most"),
    [("unavailable", "overloaded", 4), ("no-quota", "quota", 4), ("filtered", "content filter", None)],
)
def test_the_second_model_drafts_what_the_first_does_not(
    place: Path, server: BehaviourServer, first: str, reason: str, most: int | None
) -> None:
    settings(place, f'fallback = ["good"]\n[author]\nmodel = "{first}"\n')
    ran = chapter(place, server, "--json")
    assert ran.code == 0, ran.err
    assert [section["status"] for section in ran.json["chapters"][0]["sections"]] == ["drafted"] * 3
    said = [line for line in ran.err.splitlines() if "stands in" in line]
    assert len(said) == 1
    assert f"good stands in for {first}: " in said[0]
    assert reason in said[0]
    assert by_model(place) == {first: len(server.calls[first]), "good": len(server.calls["good"])}
    assert most is None or len(server.calls[first]) <= most
    assert verify(place / ".expand" / "ledger.db").findings == ()
    sent = Counter({name: len(calls) for name, calls in server.calls.items()})
    (place / "drafts" / "07.md").unlink()
    again = chapter(place, server)
    assert again.code == 0
    assert settled(place)["good"] == len(server.calls["good"]) == sent["good"]
    assert len(server.calls[first]) == sent[first]  # every question has its answer, whoever gave it


def test_what_is_over_for_a_model_is_remembered_for_the_sections_to_come(place: Path, server: BehaviourServer) -> None:
    settings(place, 'fallback = ["good"]\n[author]\nmodel = "gone-after-three"\nconcurrency = 1\n')
    ran = chapter(place, server)
    assert ran.code in (0, 5)  # both write the same sentences, which may be found
    assert len(server.calls["gone-after-three"]) == 4
    assert settled(place) == {"gone-after-three": 3, "good": len(server.calls["good"])}


def test_a_provider_that_cannot_be_reached_is_replaced_by_one_that_can(place: Path, server: BehaviourServer) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    settings(
        place,
        f'fallback = ["good"]\n[author]\nmodel = "good-elsewhere"\nbase_url = "http://127.0.0.1:{port}/v1"\n'
        f'[models.good]\nprovider = "second"\n[providers.second]\nbase_url = "{server.base_url}"\nneeds_key = false\n',
    )
    ran = expand(place, "chapter", "07")
    assert ran.code == 0, ran.err
    assert "good stands in for good-elsewhere: " in ran.err
    assert by_model(place) == {"good-elsewhere": 4, "good": len(server.calls["good"])}
    assert rows(place, "SELECT DISTINCT state FROM attempt WHERE model = 'good-elsewhere'") == [("released",)]


def test_all_models_fail(place: Path, server: BehaviourServer) -> None:
    settings(place, 'fallback = ["no-quota"]\n[author]\nmodel = "unavailable"\n')
    ran = chapter(place, server)
    assert ran.code == 4
    assert "no model could write: unavailable: " in ran.err
    assert "no-quota: " in ran.err
    assert len(server.calls["no-quota"]) <= 3


def test_the_budget_is_no_reason_to_ask_another(place: Path, server: BehaviourServer) -> None:
    settings(place, 'fallback = ["good"]\n[author]\nmodel = "better"\n')
    assert chapter(place, server, "--budget", "100").code == 3
    assert server.calls == {}


def test_a_server_that_never_answers_is_given_up_where_nothing_stands_in(place: Path, server: BehaviourServer) -> None:
    settings(place, '[author]\nmodel = "broken"\nconcurrency = 1\n')
    assert chapter(place, server).code == 4
    assert len(server.calls["broken"]) == 4


def test_killed_in_between_it_goes_on_with_what_was_bought(place: Path, server: BehaviourServer) -> None:
    settings(place, 'fallback = ["good"]\n[author]\nmodel = "no-quota"\nconcurrency = 1\n')
    process = start(place, "chapter", "07", "--base-url", server.base_url)
    try:
        while len(server.sent.get("good", ())) < 3 and process.poll() is None:
            pass
    finally:
        process.kill()
        process.communicate()
    assert chapter(place, server).code == 0
    lost = rows(place, "SELECT count(*) FROM attempt WHERE state = 'unknown'")[0][0]
    assert len(server.calls["good"]) == settled(place)["good"] + lost
    assert lost <= 1


def test_another_model_repairs(place: Path, server: BehaviourServer) -> None:
    settings(place, '[author]\nmodel = "spoiled"\n[roles]\nrepair = "mender"\n')
    ran = chapter(place, server)
    assert ran.code in (0, 5)
    assert {call.purpose for call in server.calls["spoiled"]} <= {"draft", "continue"}
    assert {call.purpose for call in server.calls["mender"]} == {"repair"}
    assert "Mended " in draft_of(place)
    assert set(by_model(place)) == {"spoiled", "mender"}
    # A section is made by the model that drafts it: another one for repairs makes none of them due.
    settings(place, '[author]\nmodel = "spoiled"\n[roles]\nrepair = "better"\n')
    assert "3 current" in chapter(place, server).err
    assert "better" not in server.calls


def test_a_model_on_the_command_line_drafts_and_repairs_where_no_other_is_stated(
    place: Path, server: BehaviourServer
) -> None:
    settings(place, '[roles]\ndraft = "unavailable"\n')
    assert chapter(place, server, "--model", "spoiled").code in (0, 5)
    assert {call.purpose for call in server.calls["spoiled"]} > {"repair"}
    assert "unavailable" not in server.calls


async def test_an_author_of_ones_own_is_asked_for_every_model(place: Path) -> None:
    settings(place, 'fallback = ["good"]\n[author]\nmodel = "scripted"\n[roles]\nrepair = "mender"\n')
    workspace = Workspace(root=place)
    author = ScriptedAuthor()
    result = await Run(workspace, RunOptions.of(workspace, "07"), author=author).complete()
    assert result.exit_code == 0


def test_a_model_that_brings_fewer_lines_is_asked_for_fewer(place: Path, server: BehaviourServer) -> None:
    settings(place, 'fallback = ["good"]\n[author]\nmodel = "no-quota"\n[models.good]\nlines_per_request = 5\n')
    assert chapter(place, server).code in (0, 5)
    asked = [call.asked[0] for call in server.calls["good"]]
    assert max(asked) == 5
    assert max(call.asked[0] for call in server.calls["no-quota"]) > 5


def test_doctor_looks_at_every_model(place: Path) -> None:
    settings(
        place,
        'fallback = ["embedded", "claude"]\n[author]\nmodel = "a"\nbase_url = "http://127.0.0.1:9/v1"\n'
        '[roles]\nrepair = "b"\nreview = "claude"\n[models.claude]\nprovider = "openrouter"\n',
    )
    ran = expand(place, "doctor")
    assert "ok   model       b (repair) is asked at http://127.0.0.1:9/v1" in ran.out
    assert "smollm2-135m-instruct (fallback) is asked here, by the embedded server" in ran.out
    assert "model claude is served at https://openrouter.ai/api/v1, and OPENROUTER_API_KEY" in ran.out


# --- settings ---------------------------------------------------------------------------------


def read(place: Path, text: str, model: str | None = None, **environment: str):  # type: ignore[no-untyped-def]
    settings(place, text)
    path, overrides = place / "expand.toml", Overrides(model=model)
    return read_settings(path, environment=environment, overrides=overrides, trusted=True)


def test_every_role_has_a_model(place: Path) -> None:
    found = read(place, 'fallback = ["c", "b"]\n[roles]\ndraft = "a"\nrepair = "b"\ntranslate = "c"\n')
    assert found.model == "a"
    assert [one.model for one in found.for_role("draft")] == ["a", "c", "b"]
    assert [one.model for one in found.for_role("repair")] == ["b", "c"]
    assert [one.model for one in found.for_role("review")] == ["a", "c", "b"]
    assert [one.model for one in found.for_role("translate")] == ["c", "b"]
    assert [one.model for one in found.of_sections()] == ["a", "c", "b"]
    assert found.replaceable() == {"a"}
    # Seen from any of them, they are the same models.
    other = found.for_model("b")
    assert other.for_model("a").model == "a"
    above = read(place, '[roles]\ndraft = "a"\nrepair = "b"\n', model="z")
    assert (above.model, above.for_role("repair")[0].model, above.for_role("review")[0].model) == ("z", "b", "z")


def test_each_model_has_its_own_address_and_key(place: Path) -> None:
    text = (
        'fallback = ["claude", "embedded", "gpt-4.1-mini"]\n[author]\nmodel = "gpt-4.1"\n'
        '[models."claude*"]\nprovider = "openrouter"\ncontext_window = 100000\n'
    )
    found = read(place, text, OPENAI_API_KEY="sk-of-openai", OPENROUTER_API_KEY="sk-of-openrouter")
    claude, embedded, mini = (found.for_model(name) for name in ("claude", "smollm2-135m-instruct", "gpt-4.1-mini"))
    assert (found.base_url, found.api_key) == (None, "sk-of-openai")
    assert (claude.base_url, claude.api_key) == ("https://openrouter.ai/api/v1", "sk-of-openrouter")
    assert embedded.embedded
    assert (mini.base_url, mini.api_key) == (None, "sk-of-openai")
    assert found.for_model("never-heard-of").base_url is None
    # An address from above is for the model that drafts, and for those without a provider of their own.
    moved = read(place, text, OPENAI_API_KEY="sk", OPENAI_BASE_URL="http://127.0.0.1:9/v1")
    assert moved.base_url == moved.for_model("gpt-4.1-mini").base_url == "http://127.0.0.1:9/v1"
    assert moved.for_model("claude").base_url == "https://openrouter.ai/api/v1"
    own = read(place, '[author]\nmodel = "claude"\n[models.claude]\nprovider = "openrouter"\n', OPENROUTER_API_KEY="k")
    assert own.base_url == "https://openrouter.ai/api/v1"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            '[author]\nmodel = "a"\n[roles]\ndraft = "b"\n',
            r"expand.toml:4:1: b is to draft, and the author is a; state",
        ),
        ("fallback = []\n", "fallback"),
        ('[roles]\nwrite = "a"\n', 'unknown key "write"'),
        ('fallback = ["a"]\n[models.a]\nprovider = "nowhere"\n', r"expand.toml:3:1: there is no provider 'nowhere'"),
        ('fallback = ["a"]\n[models.a]\nprovider = "azure"\n', "set base_url under .providers.azure."),
    ],
)
def test_what_is_wrong_is_told_with_its_place(place: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read(place, text)


def test_a_fallback_without_its_key_is_told_before_anything_is_sent(place: Path, server: BehaviourServer) -> None:
    settings(place, 'fallback = ["claude"]\n[author]\nmodel = "good"\n[models.claude]\nprovider = "openrouter"\n')
    ran = chapter(place, server)
    assert ran.code == 2
    assert "model claude is served at https://openrouter.ai/api/v1, and OPENROUTER_API_KEY" in ran.err
    assert server.calls == {}


def test_a_model_that_does_not_write_the_language_does_not_stand_in(place: Path, server: BehaviourServer) -> None:
    settings(place, 'fallback = ["embedded"]\n[author]\nmodel = "no-quota"\n')
    ran = chapter(place, server, "--language", "zh")
    assert ran.code == 4
    assert "model smollm2-135m-instruct does not write zh" in ran.err
