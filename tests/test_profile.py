from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal

import pytest
from genai_prices.data import providers as published
from hypothesis import given
from hypothesis import strategies as st

from expand.errors import InputError, InputErrors
from expand.llm.profile import EMBEDDED_MODEL, Grammar, Price, is_known, profile_for, subject
from expand.schema.input_file import parse_toml
from expand.settings import SETTINGS


@pytest.mark.parametrize(
    "model",
    ["gpt-5", "gpt-5-mini", "gpt-5.1", "gpt-6-sol", "o3", "o3-mini", "o4-mini", "openai/gpt-5"],
)
def test_models_that_think_get_room_for_it_and_no_temperature(model: str) -> None:
    profile = profile_for(model)
    assert profile.name == model
    assert profile.form.output_cap_name == "max_completion_tokens"
    assert "temperature" not in profile.parameters
    assert profile.reasoning_tokens >= 8_000
    assert profile.output_cap(100) >= profile.reasoning_tokens + 100 * 40
    assert profile.output_cap(10**6) == profile.max_output_tokens == 32_000


NO_AUTHORS = re.compile(
    r"audio|image|live|realtime|transcribe|tts|whisper|embedding|moderation|computer|davinci"
    r"|babbage|ada|curie|ft:|instruct|vision|search|32k|3.5-0301"
)


def test_no_window_is_larger_than_the_one_that_is_published() -> None:
    openai = next(provider for provider in published if provider.id == "openai")
    windows = {m.id: m.context_window for m in openai.models if not NO_AUTHORS.search(m.id)}
    assert len(windows) > 40
    for model, window in windows.items():
        profile = profile_for(model)
        assert profile.context_window <= (window or 1_050_000), model
        assert is_known(model) or model.startswith(("codex", "gpt-chat", "gpt-rosalind", "gpt-4.5")), model


def test_a_model_under_another_name_is_what_it_is_like() -> None:
    ours = profile_for("our-deployment", {"our-*": {"like": "gpt-5-mini", "rpm": 60}})
    theirs = profile_for("gpt-5-mini")
    assert (ours.name, ours.known_as, ours.rpm) == ("our-deployment", "gpt-5-mini", 60)
    assert ours.context_window == theirs.context_window
    assert ours.parameters == theirs.parameters
    assert profile_for("our-deployment").known_as == "our-deployment"


def test_a_stated_window_cuts_output_and_lines_to_it_unless_they_are_stated() -> None:
    profile = profile_for("m", {"m": {"context_window": 4_000}})
    assert (profile.max_output_tokens, profile.lines_per_request) == (2_000, 33)
    stated = profile_for("m", {"m": {"context_window": 4_000, "max_output_tokens": 3_000}})
    assert (stated.max_output_tokens, stated.lines_per_request) == (3_000, 50)
    with pytest.raises(InputError, match=r"max_output_tokens 4,000 leaves no room .* of 4,000"):
        profile_for("m", {"m": {"context_window": 4_000, "max_output_tokens": 4_000}})


def test_ready_profiles() -> None:
    assert profile_for("gpt-4.1-mini").context_window == 1_000_000
    assert profile_for("gpt-4o").parameters == {"temperature": 0.7}
    assert profile_for("gpt-5-chat-latest").parameters == {}
    unknown = profile_for("qwen3:8b")
    assert unknown.form.output_cap_name == "max_tokens"
    assert unknown.lines_per_request == 60
    assert unknown.parameters == {}
    assert unknown.languages is None
    assert unknown.writes("zh")


STRONG = (
    "gpt-4o-mini", "gpt-5.6", "o3", "claude-opus-4-5", "anthropic/claude-sonnet-5-5", "gemini-2.5-pro",
    "google/gemini-3.8-flash", "deepseek-chat", "deepseek-reasoner", "deepseek-v4-pro", "qwen3-max",
    "qwen3.5-max-preview", "grok-4.7", "kimi-k2-thinking", "GLM-5.1", "mistral-large-2512",
)  # fmt: skip
OTHERS = ("gpt-3.5-turbo", "gpt-4", "claude-3-haiku", "gemini-1.5-flash", "deepseek-r1-distill-qwen-7b", "qwen3:8b",
          "llama3.2:3b", "my-fine-tune", EMBEDDED_MODEL)  # fmt: skip


@pytest.mark.parametrize("model", STRONG)
def test_strong_models_plan_and_write_whole_sections(model: str) -> None:
    profile = profile_for(model)
    assert profile.brief
    assert profile.lines_per_request >= 130
    room = profile.output_cap(profile.lines_per_request) - profile.reasoning_tokens
    assert room >= 40 * profile.lines_per_request  # the lines that it is asked for fit, thinking aside
    assert profile.max_output_tokens * 2 <= profile.context_window


@pytest.mark.parametrize("model", OTHERS)
def test_other_models_plan_only_where_the_settings_say_so(model: str) -> None:
    assert not profile_for(model).brief
    assert profile_for(model, {model: {"brief": True}}).brief


def test_embedded_profile_writes_english_by_aspects_and_forms() -> None:
    profile = profile_for(EMBEDDED_MODEL)
    assert profile.writes("en")
    assert not profile.writes("zh")
    assert {form.aspect for form in profile.forms} == set(profile.aspects["en"])
    for aspect in profile.aspects["en"]:
        sent = profile.request_parameters(lines=13, aspect=aspect, topic="perf (CPU profiling)")
        assert '"- **' in str(sent["grammar"])
        assert "perf" in str(sent["grammar"]).lower()
        assert "(CPU" not in str(sent["grammar"])
    assert "grammar" not in profile.request_parameters(lines=13, aspect="", topic="perf")
    assert profile.output_cap(14) + 800 < profile.context_window


def test_overrides_are_laid_over_the_most_specific_last() -> None:
    overrides: Mapping[str, Mapping[str, object]] = {
        "gpt-4o-mini": {"concurrency": 3, "prices": {"prompt": 0.15, "completion": 0.6}},
        "gpt-4o*": {"concurrency": 2, "rpm": 60, "parameters": {"seed": 7}},
        "other": {"tpm": 5},
    }
    profile = profile_for("gpt-4o-mini", overrides)
    assert profile.concurrency == 3
    assert profile.rpm == 60
    assert profile.tpm is None
    assert profile.parameters == {"temperature": 0.7, "seed": 7}
    assert profile.prices == Price(prompt=150_000, completion=600_000, cached=150_000)
    assert profile_for("gpt-4o", overrides).concurrency == 2


def test_every_key_can_be_set() -> None:
    profile = profile_for(
        "local",
        {
            "local": {
                "context_window": 4096,
                "max_output_tokens": 1000,
                "lines_per_request": 20,
                "tokens_per_line": 30,
                "reasoning_tokens": 0,
                "languages": ["en", "de"],
                "output_cap_name": "max_completion_tokens",
                "style": "brief",
                "concurrency": 1,
                "rpm": 10,
                "tpm": 1000,
                "aspects": {"en": ["one"]},
                "forms": {
                    "rules": "rest ::= [a-z]+",
                    "fields": [{"aspect": "one", "openings": ["It is"], "items": ["So"]}],
                },
                "parameters": {
                    "stop": ["\n\n"],
                    "top_p": Decimal("0.9"),
                    "extra": {"deep": [1, None, True]},
                },
            }
        },
    )
    assert profile.languages == ("en", "de")
    assert profile.parameters == {
        "stop": ["\n\n"],
        "top_p": 0.9,
        "extra": {"deep": [1, None, True]},
    }
    assert profile.forms[0].openings == ("It is",)
    assert profile.aspects == {"en": ("one",)}
    assert profile.output_cap(10) == 300


FORM = {"rules": "r", "fields": [{"aspect": "a", "openings": ["o"], "items": ["i"]}]}


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"temprature": 1}, ': unknown key "temprature"; known are: like, context_window'),
        ({"concurrency": 0}, ": concurrency is 0; give a whole number from 1 to 10,000"),
        ({"concurrency": True}, ": concurrency is true; give a whole"),
        ({"reasoning_tokens": -1}, ": reasoning_tokens is -1; give a whole number from 0"),
        ({"rpm": "60"}, ': rpm is the text "60"; give a whole number'),
        ({"style": ""}, ": style is an empty text; give a text in quotes"),
        ({"languages": "en"}, ': languages is the text "en"; give a list with at least one lan'),
        ({"languages": []}, ": languages is an empty list; give a list with at least one langu"),
        ({"aspects": ["a"]}, ": aspects is a list; write it as a table"),
        ({"output_cap_name": "cap"}, "known are: max_completion_tokens, max_tokens"),
        ({"structured_output": "xml"}, "known are: json_schema, json_object, grammar, none"),
        ({"parameters": 1}, ": parameters is 1; write it as a table"),
        ({"parameters": {"n": 2}}, ": parameters: n is set by the tool itself; leave it out"),
        ({"prices": {"prompt": 1}}, ': prices: the key "completion" is missing'),
        ({"prices": {"prompt": 1, "completion": 1, "in": 1}}, ': prices: unknown key "in"'),
        ({"prices": {"prompt": -1, "completion": 1}}, ": prices: prompt is -1; give a number fro"),
        ({"prices": {"prompt": "x", "completion": 1}}, ': prices: prompt is the text "x"'),
        ({"prices": {"prompt": True, "completion": 1}}, ": prices: prompt is true"),
        ({"forms": {"rules": "r"}}, ': forms: the key "fields" is missing'),
        ({"forms": {**FORM, "fields": 1}}, ": fields is 1; give a list with at least one form"),
        ({"forms": {**FORM, "fields": [{"aspect": "a"}]}}, 'form 1: the key "openings" is missing'),
        ([1], "is a list; write it as a table"),
    ],
)
def test_wrong_profiles_are_refused(table: object, message: str) -> None:
    file = parse_toml("[models.'llama*']", "expand.toml")
    file.data = {"models": {"llama*": table}}
    SETTINGS.check(file)
    with pytest.raises(InputErrors, match=re.escape(message)) as caught:
        file.raise_if_any()
    assert str(caught.value).startswith("expand.toml:1:10: models: llama*")


@pytest.mark.parametrize(
    ("topic", "expected"),
    [
        ("perf (CPU profiling)", "perf"),
        ("performance metrics: latency, throughput", "performance metrics"),
        ("tokio::process in detail", "tokio::process in detail"),
        ("caps - capabilities", "caps"),
        ("(all of it)", "(all of it)"),
    ],
)
def test_the_subject_of_a_topic(topic: str, expected: str) -> None:
    assert subject(topic) == expected


@given(lines=st.integers(min_value=1, max_value=120), topic=st.text(max_size=30))
def test_a_form_makes_exactly_the_lines_asked(lines: int, topic: str) -> None:
    form = Grammar(
        aspect="a",
        openings=("about {topic}", "then"),
        items=tuple(f"**{n}**: so" for n in range(6)),
        rules="rest ::= [a-z]+\nsentence ::= rest",
    )
    root, *rules = form.grammar(lines=lines, topic=topic).split("\n")
    assert rules == ["rest ::= [a-z]+", "sentence ::= rest", ""]
    plain = re.sub(r'"(?:\\.|[^"\\])*"', lambda m: "BLANK" if m[0] == '"\\n"' else "", root)
    counted = plain.count("BLANK") + len(re.findall(r"\brest\b", plain))
    counted += sum(int(n) for n in re.findall(r"sentence\{(\d+)\}", plain))
    assert counted == lines
    assert root.count('"- ') == (0 if lines < 8 else min(6, max(3, lines // 3)))
