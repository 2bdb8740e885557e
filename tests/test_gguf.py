"""Model files: what their header says, and how a file that is none, or not whole, is refused."""

from __future__ import annotations

import io
import json
import os
import struct
import sys
from pathlib import Path

import pytest
import xllamacpp
from workspaces import draft_of, expand, rows, small

from expand.drafting.model_setup import profile_of
from expand.errors import InputError
from expand.llm import local_model
from expand.llm.gguf import ModelFile, read_model_file
from expand.llm.local_model import ServedModel, ServerProcess
from expand.llm.profile import MOST_WINDOW, SMALL_BYTES, embedded_provider
from expand.settings import Overrides, Settings, read_settings
from expand.workspace import Workspace

STRING, ARRAY, U32, F32, U64 = 8, 9, 4, 6, 10


def text(value: str) -> bytes:
    data = value.encode()
    return struct.pack("<Q", len(data)) + data


def pair(key: str, kind: int, value: object) -> bytes:
    if kind == STRING:
        return text(key) + struct.pack("<I", kind) + text(str(value))
    if kind == ARRAY:
        assert isinstance(value, list)
        items = b"".join(text(item) for item in value)
        return text(key) + struct.pack("<IIQ", kind, STRING, len(value)) + items
    form = {U32: "<I", F32: "<f", U64: "<Q"}[kind]
    return text(key) + struct.pack("<I", kind) + struct.pack(form, value)


PAIRS = (
    pair("general.architecture", STRING, "llama"),
    pair("general.name", STRING, "A name from the training"),
    pair("general.languages", ARRAY, ["en", "zh"]),
    pair("llama.context_length", U32, 4096),
    pair("llama.rope.freq_base", F32, 10000.0),
    pair("tokenizer.ggml.tokens", ARRAY, [f"t{number}" for number in range(200)]),
    pair("tokenizer.chat_template", STRING, "{{ messages }}"),
)


def model(path: Path, *pairs: bytes) -> Path:
    """A file with this header."""
    path.write_bytes(b"GGUF" + struct.pack("<IQQ", 3, 0, len(pairs)) + b"".join(pairs))
    return path


def test_the_header_says_what_the_model_is(tmp_path: Path) -> None:
    path = model(tmp_path / "My Model.Q4.gguf", *PAIRS)
    size = path.stat().st_size
    assert read_model_file(path) == ModelFile(path=path, name="My Model.Q4", context_window=4096, size=size)
    wide = model(tmp_path / "wide.gguf", PAIRS[0], pair("qwen2.context_length", U64, 1_000_000))
    assert read_model_file(wide).context_window == 1_000_000


def test_the_shipped_model_is_read() -> None:
    shipped = local_model._model_file()
    assert shipped is not None
    found = read_model_file(shipped)
    assert (found.context_window, found.size < SMALL_BYTES) == (8192, True)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is not a GGUF file"),
        (b"GGU", "is not a GGUF file"),
        (b"PK\x03\x04 a zip file", "is not a GGUF file"),
        (b"<!DOCTYPE html><title>404</title>", "is not a GGUF file"),
        (b"version https://git-lfs.github.com/spec/v1", "is not a GGUF file"),
        (b"GGUF", "is not of a model that writes text"),
        (b"GGUF" + b"".join(PAIRS[:3]), "is not of a model that writes text"),
        (b"GGUF" + PAIRS[3][:-1], "or is cut short"),
        (b"GGUF" + pair("llama.context_length", U32, 0), "is not of a model that writes text"),
        (b"GGUF" + pair("llama.context_length", U64, 2**62), "is not of a model that writes text"),
    ],
)
def test_what_is_no_model_file_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(content)
    with pytest.raises(InputError, match=message) as caught:
        read_model_file(path)
    assert caught.value.place is not None
    assert caught.value.place.path == path
    for other, said in ((tmp_path / "none.gguf", "does not exist"), (tmp_path, "cannot be read")):
        with pytest.raises(InputError, match=f"the model file {said}"):
            read_model_file(other)


@pytest.mark.parametrize(("size", "small_one"), [(SMALL_BYTES - 1, True), (SMALL_BYTES, False)])
def test_only_small_models_are_asked_in_parts(tmp_path: Path, size: int, small_one: bool) -> None:
    file = ModelFile(path=tmp_path / "m.gguf", name="m", context_window=131_072, size=size)
    workspace = Workspace(root=tmp_path)
    profile = profile_of(workspace, Settings(model="m", provider=embedded_provider(file), model_file=file))
    assert bool(profile.aspects) == bool(profile.forms) == small_one
    assert profile.context_window == MOST_WINDOW
    assert profile.prices is not None
    assert not profile.prices.completion
    assert profile.writes("zh") != small_one
    tables = {"m": {"context_window": 131_073}}
    with pytest.raises(InputError, match=r"context window of 131,073 here, and its file .*m\.gguf of 131,072"):
        profile_of(workspace, Settings(model="m", provider=embedded_provider(file), model_file=file, models=tables))


# --- where a path is looked for ---------------------------------------------------------------


def read(place: Path, *, model: str | None = None, url: str | None = None, **environment: str) -> Settings:
    overrides = Overrides(model=model, base_url=url)
    return read_settings(place / "expand.toml", environment=environment, overrides=overrides)


def test_a_path_is_looked_for_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place, here = small(tmp_path / "book"), tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    model(here / "a.gguf", *PAIRS)
    assert read(place, EXPAND_MODEL="a.gguf").model_file == read_model_file(here / "a.gguf")
    monkeypatch.setenv("HOME", str(here))
    found = read(place, model="~/a.gguf", OPENAI_API_KEY="sk")
    assert (found.model, found.base_url, found.embedded, found.provider.name) == ("a", None, True, "embedded")


def test_expand_toml_names_files_of_its_own_workspace_only(tmp_path: Path) -> None:
    place = small(tmp_path / "book")
    model(tmp_path / "out.gguf", *PAIRS)
    model(place / "in.gguf", *PAIRS)
    (place / "link.gguf").symlink_to(tmp_path / "out.gguf")
    (place / "expand.toml").write_text('fallback = ["in.gguf"]\n[author]\nmodel = "in.gguf"\n')
    assert read(place).model_file is not None
    assert read(place).fallback == ("in",)
    for outside in (str(tmp_path / "out.gguf"), "../out.gguf", "link.gguf", "~/out.gguf"):
        (place / "expand.toml").write_text(f'[author]\nmodel = "in.gguf"\n[roles]\nrepair = "{outside}"\n')
        with pytest.raises(
            InputError, match=r"outside of the workspace; put a copy of what is there into the workspace"
        ):
            read(place)


def test_a_server_may_call_its_models_by_their_files(tmp_path: Path) -> None:
    place = small(tmp_path)
    url = "http://127.0.0.1:8080/v1"
    assert read(place, model="/models/x.gguf", url=url).base_url == url
    assert read(place, model="/models/x.gguf", OPENAI_BASE_URL=url).base_url == url
    path = str(model(place / "x.gguf", *PAIRS))
    assert read(place, model=path, url=url).base_url == url
    assert read(place, model=path, OPENAI_BASE_URL=url).embedded
    (place / "expand.toml").write_text(
        'fallback = ["x.gguf"]\n[author]\nmodel = "a"\n[models."x.gguf"]\nprovider="ollama"\n'
    )
    assert read(place).for_model("x.gguf").base_url == "http://127.0.0.1:11434/v1"


def test_two_files_of_one_name_are_told_apart(tmp_path: Path) -> None:
    place = small(tmp_path)
    (place / "other").mkdir()
    model(place / "x.gguf", *PAIRS)
    model(place / "other" / "x.gguf", *PAIRS)
    (place / "expand.toml").write_text('fallback = ["other/x.gguf"]\n[author]\nmodel = "x.gguf"\n')
    with pytest.raises(InputError, match="two models are called x; rename one"):
        read(place)


@pytest.mark.parametrize("content", [b"", b"no model", b"GGUF" + bytes(300)])
def test_a_broken_file_ends_the_command_before_anything_is_reserved(tmp_path: Path, content: bytes) -> None:
    place = small(tmp_path)
    (place / "broken.gguf").write_bytes(content)
    ran = expand(place, "chapter", "07", "--model", str(place / "broken.gguf"))
    assert ran.code == 2
    assert "broken.gguf: the model file " in ran.err
    assert not (place / ".expand").exists()
    assert expand(place, "chapter", "07", "--model", "nowhere.gguf").code == 2


# --- the server's process ---------------------------------------------------------------------


def served(path: Path) -> ServedModel:
    return ServedModel(path=str(path), name="m", context_window=512, slots=1, threads=1)


def test_a_file_that_cannot_be_loaded_ends_the_servers_process_alone(tmp_path: Path) -> None:
    server = ServerProcess(served(model(tmp_path / "m.gguf", *PAIRS)))
    with pytest.raises(RuntimeError):
        _ = server.listening_address


def test_a_process_that_ends_or_hangs_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = tmp_path / "python"
    monkeypatch.setattr(sys, "executable", str(script))
    for what, message in (("exit 3", "llama.cpp ended with code 3"), ("kill -SEGV $$", "ended with code -11")):
        script.write_text(f"#!/bin/sh\n{what}\n")
        script.chmod(0o755)
        with pytest.raises(RuntimeError, match=message):
            _ = ServerProcess(served(tmp_path)).listening_address
    monkeypatch.setattr(local_model, "LOAD_SECONDS", 0.2)
    script.write_text("#!/bin/sh\nexec sleep 60\n")
    with pytest.raises(RuntimeError, match="ended with code -9"):
        _ = ServerProcess(served(tmp_path)).listening_address


@pytest.mark.embedded
def test_any_other_file_drafts_a_section(tmp_path: Path) -> None:
    place = small(tmp_path / "book")
    shipped = local_model._model_file()
    assert shipped is not None
    (tmp_path / "other-name.gguf").symlink_to(shipped)
    ran = expand(place, "chapter", "07", "--section", "3", "--model", str(tmp_path / "other-name.gguf"), "--json")
    assert ran.code in (0, 5)
    assert "other-name writes, served on this machine from " in ran.err
    assert ran.json["chapters"][0]["sections"][0]["status"] == "drafted"
    assert "## 3. Checklist" in draft_of(place)
    assert rows(place, "SELECT DISTINCT model FROM attempt") == [("other-name",)]


class _Server:
    """What llama.cpp's server would be, or why there is none."""

    listening_address = "http://127.0.0.1:1"

    def __init__(self, parameters: object) -> None:
        if "broken" in parameters.model.path:  # type: ignore[attr-defined]
            raise RuntimeError("no such tensor")


@pytest.mark.parametrize(
    ("path", "said"), [("model.gguf", {"url": _Server.listening_address}), ("broken.gguf", {"error": "no such tensor"})]
)
def test_the_process_says_where_it_serves_or_why_not_and_ends_with_its_input(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], path: str, said: dict[str, str]
) -> None:
    served = {"path": path, "slots": 2, "context_window": 512, "name": "m", "threads": 1}
    ended: list[int] = []
    monkeypatch.setattr(xllamacpp, "Server", _Server)
    monkeypatch.setattr(sys, "argv", ["local_model", json.dumps(served)])
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    monkeypatch.setattr(os, "_exit", ended.append)
    local_model.serve()
    assert json.loads(capsys.readouterr().out) == said
    assert ended == [0]
