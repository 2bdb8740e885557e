"""Settings: what comes before what, and every mistake named by file and line."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from expand.errors import InputError
from expand.llm.profile import EMBEDDED_MODEL
from expand.settings import DEFAULT_MODEL, Overrides, Settings, read_settings, require_author

FULL = """\
[author]
model = "from-file"
base_url = "http://file.example/v1"
concurrency = 3
timeout_seconds = 30

[models."from-*"]
context_window = 9_000
"""


def read(
    folder: Path,
    text: str = "",
    environment: dict[str, str] | None = None,
    overrides: Overrides | None = None,
) -> Settings:
    path = folder / "expand.toml"
    path.write_text(text, encoding="utf-8")
    return read_settings(path, environment=environment or {}, overrides=overrides)


def test_with_nothing_set_the_embedded_model_is_the_author(tmp_path: Path) -> None:
    settings = read(tmp_path)
    assert settings == Settings(model=EMBEDDED_MODEL)
    assert settings.embedded
    assert not settings.local
    assert settings.concurrency is None
    assert settings.timeout_seconds == 600
    require_author(settings, path=tmp_path)


@pytest.mark.parametrize(
    ("environment", "key", "base_url"),
    [
        ({"OPENAI_API_KEY": "k"}, "k", None),
        ({"OPENAI_BASE_URL": "http://e/v1"}, None, "http://e/v1"),
        ({"OPENAI_API_KEY": "", "OPENAI_BASE_URL": "http://e/v1"}, None, "http://e/v1"),
    ],
)
def test_a_key_or_a_base_url_makes_the_default_model_the_author(
    tmp_path: Path, environment: dict[str, str], key: str | None, base_url: str | None
) -> None:
    settings = read(tmp_path, "", environment)
    assert (settings.model, settings.api_key, settings.base_url) == (DEFAULT_MODEL, key, base_url)
    assert not settings.embedded


def test_a_count_may_be_written_with_a_point(tmp_path: Path) -> None:
    concurrency = read(tmp_path, "[author]\nconcurrency = 4.0\n").concurrency
    assert (concurrency, type(concurrency)) == (4, int)


def test_the_file_comes_before_the_defaults(tmp_path: Path) -> None:
    settings = read(tmp_path, FULL, {"EXPAND_TRUST": "1"})
    assert settings == Settings(
        model="from-file",
        base_url="http://file.example/v1",
        for_openai=True,
        concurrency=3,
        timeout_seconds=30.0,
        models={"from-*": {"context_window": 9_000}},
    )


ENVIRONMENT = {
    "EXPAND_MODEL": "from-environment",
    "OPENAI_BASE_URL": "http://environment.example/v1",
}


def test_the_environment_comes_before_the_file(tmp_path: Path) -> None:
    settings = read(tmp_path, FULL, ENVIRONMENT)
    assert settings.model == "from-environment"
    assert settings.base_url == "http://environment.example/v1"


def test_the_command_line_comes_before_the_environment(tmp_path: Path) -> None:
    settings = read(
        tmp_path,
        FULL,
        ENVIRONMENT,
        Overrides(
            model="from-line",
            base_url="http://line.example/v1",
            concurrency=7,
        ),
    )
    assert settings.model == "from-line"
    assert settings.base_url == "http://line.example/v1"
    assert settings.concurrency == 7


def test_the_embedded_model_may_be_named_whatever_else_is_set(tmp_path: Path) -> None:
    for name in ("embedded", EMBEDDED_MODEL):
        settings = read(tmp_path, FULL, {"OPENAI_API_KEY": "k"}, Overrides(model=name))
        assert settings.embedded
        assert settings.base_url is None


@pytest.mark.parametrize(
    ("base_url", "local"),
    [
        ("http://127.0.0.1:8080/v1", True),
        ("http://localhost/v1", True),
        ("http://[::1]:1/v1", True),
        ("https://api.example.org/v1", False),
        ("http://127.0.0.1.example.org/v1", False),
    ],
)
def test_only_this_machine_needs_no_key(tmp_path: Path, base_url: str, local: bool) -> None:
    settings = read(tmp_path, "", {"OPENAI_BASE_URL": base_url})
    assert settings.local is local
    if local:
        require_author(settings, path=tmp_path)
        return
    with pytest.raises(InputError, match="OPENAI_API_KEY is not set") as caught:
        require_author(settings, path=tmp_path / "expand.toml")
    assert f"served at {base_url}" in str(caught.value)
    assert caught.value.exit_code == 2


def test_a_hosted_model_without_a_key_is_refused(tmp_path: Path) -> None:
    settings = read(tmp_path, '[author]\nmodel = "gpt-4.1"\n')
    with pytest.raises(InputError, match=r"gpt-4\.1 is served by its provider") as caught:
        require_author(settings, path=tmp_path / "expand.toml")
    assert "--model embedded" in caught.value.remedy
    require_author(Settings(model="gpt-4.1", api_key="k"), path=tmp_path)


def test_an_address_with_a_password_is_refused_without_showing_it(tmp_path: Path) -> None:
    url = "http://me:hidden@127.0.0.1:1/v1"
    for text, environment in (
        ("", {"OPENAI_BASE_URL": url}),
        (f'[author]\nbase_url = "{url}"\n', {}),
        ("", {"OPENAI_BASE_URL": "http://me:hid/den@127.0.0.1/v1"}),
    ):
        with pytest.raises(InputError, match="leave out") as caught:
            read(tmp_path, text, environment)
        assert "hid" not in str(caught.value)
    assert read(tmp_path, "", {"OPENAI_BASE_URL": "http://h/v1?user=a@b"}).base_url


def test_a_key_is_never_shown() -> None:
    assert "secret" not in repr(Settings(api_key="secret"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[author]\nmodle = 1\n", ':2:1: author: unknown key "modle"; did you mean "model"?'),
        ("[author]\nq = 1\n", ':2:1: author: unknown key "q"; known are: model, provider, base'),
        ("\n[autor]\nmodel = 'm'\n", ':2:2: unknown key "autor"; did you mean "author"?'),
        ("author = 3\n", ":1:1: author is 3; write it as a table: [author]"),
        ("[models]\nm = 3\n", ":2:1: models: m is 3; write it as a table: [models.m]"),
        ("models = 'x'\n", ':1:1: models is the text "x"; write it as a table: [models]'),
        ("[author]\nmodel = 4\n", ":2:1: author: model must be a string, not 4; put it in quotes"),
        ("[author]\nbase_url = 4\n", ":2:1: author: base_url must be a string, not 4; put it in quotes"),
        (
            "[author]\nbase_url = 'x'\n",
            ':2:1: author: base_url is the text "x"; give one such as h',
        ),
        (
            "[author]\n\nconcurrency = 0\n",
            ":3:1: author: concurrency is 0; give a whole number fro",
        ),
        (
            "[author]\nconcurrency = true\n",
            ":2:1: author: concurrency is true; give a whole number",
        ),
        (
            "[author]\nconcurrency = '2'\n",
            ':2:1: author: concurrency is the text "2"; give a whole',
        ),
        (
            "[author]\ntimeout_seconds = -1\n",
            ":2:1: author: timeout_seconds is -1; give a number f",
        ),
        (
            "[author]\ntimeout_seconds = 'x'\n",
            ':2:1: author: timeout_seconds is the text "x"; give',
        ),
        ("[author]\nprovider = 'olama'\n", ":2:1: there is no provider 'olama'; did you mean \"ol"),
        ("[author]\nmodel = 1979-05-27\n", ":2:1: model is a date or time; give a text in quotes"),
        ("[author\nmodel = 4\n", ":1:8: "),
        ("[author]\nmodel = \n", ":2:9: Invalid value; mend the TOML"),
        ("[author]\nmodel = 'a'\nmodel = 'b'\n", ": Cannot overwrite a value"),
        (
            "[models.a]\ncontext_window = 9000\n[models.'b*']\n# x\ncontext_window = -1\n",
            ":5:1: models: b*: context_window is -1; give a whole number from 1 to",
        ),
        (
            "[models.a]\nparameters = { top_p = 0.9, n = 2 }\n",
            ":2:29: models: a: parameters: n is set by the tool itself; leave it out",
        ),
        (
            "models.a.prices = { prompt = 1, completion = -2 }\n",
            ":1:33: models: a: prices: completion is -2; give a number from 0",
        ),
        (
            "[models.a]\nlanguages = [\n  'en',\n  'Deutsch',\n]\nrpm = 0\n",
            ":6:1: models: a: rpm is 0; give a whole number from 1",
        ),
        (
            "[providers.mine]\nkey_variable = 'a b'\n",
            ':2:1: providers: mine: key_variable is the text "a b"; give the name of an environ',
        ),
        (
            "[providers.mine.headers]\nAuthorization = 'Bearer x'\n",
            ':2:1: providers: mine: headers: the header is the text "Authorization"; give a head',
        ),
        (
            "[providers.mine.profile]\ncontxt_window = 1\n",
            ':2:1: providers: mine: profile: unknown key "contxt_window"; did you mean "context',
        ),
    ],
)
def test_every_mistake_is_named_by_file_and_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        read(tmp_path, text)
    assert str(caught.value).startswith(f"{tmp_path / 'expand.toml'}:")
    assert message in str(caught.value)


def test_bytes_that_are_not_utf8(tmp_path: Path) -> None:
    path = tmp_path / "expand.toml"
    path.write_bytes(b"[author]\n# caf\xe9\n")
    with pytest.raises(InputError, match=r"expand\.toml:2:1: byte 14 is not UTF-8"):
        read_settings(path, environment={})


def test_a_number_on_the_command_line_is_refused_too(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="concurrency is 0; give a whole number above 0"):
        read(tmp_path, "", overrides=Overrides(concurrency=0))


def test_the_shipped_file_is_read_and_each_example_in_it_holds(tmp_path: Path) -> None:
    text = (Path(__file__).parents[1] / "expand.toml").read_text(encoding="utf-8")
    assert read(tmp_path, text) == Settings(model=EMBEDDED_MODEL)
    live = re.sub(r"^# (?=\w+ = |\[models)", "", text, flags=re.MULTILINE)
    settings = read(tmp_path, live)
    assert settings.model == DEFAULT_MODEL
    assert settings.local
    assert settings.provider.name == "llamacpp"
    assert settings.concurrency == 8
    assert settings.models == {
        "my-model*": {
            "context_window": 32_000,
            "max_output_tokens": 8_000,
            "lines_per_request": 60,
        }
    }


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read: it is no ordinary file"):
        read_settings(tmp_path, environment={})
