"""What an editor says by the JSON Schemas, beside what the tool says of the same file.

Ten wrong outlines are flagged by both, on the same line; what only ``outline check`` finds is
listed with the reason. Settings likewise: what taplo says by the schema, the tool says too.
"""

from __future__ import annotations

import json
import shutil
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import workspaces
import yaml
from workspaces import ROOT

from expand.errors import InputError, InputErrors
from expand.scaffold import create_workspace
from expand.schema.input_file import read_yaml
from expand.settings import read_settings

BROKEN = Path(__file__).parent / "broken_outlines"
TEN = {
    "missing_keys": "keys that an outline needs are not there",
    "unknown_key": "keys that are mistyped",
    "lines_negative": "a negative number of lines",
    "lines_not_whole": "fractions, texts and infinity for lines",
    "sections_empty": "no section at all",
    "section_is_text": "sections that are texts and lists",
    "source_upwards": "a source outside of the workspace",
    "quality_negative": "a negative number of code examples",
    "language_codes": "languages that are no codes",
    "wrong_types": "a list for a text, a text for a number, a word that is no choice",
}
ONLY_CHECK = {
    "id_of_another_chapter": "a schema does not see the file's name",
    "duplicate_titles": "a schema compares whole sections, not their titles",
    "id_is_an_emoji": "the patterns that all editors support have no character classes",
    "id_hidden": "an editor reads .03 as a number, and a schema sees 0.03",
}


@pytest.fixture(scope="module")
def schemas(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """As the command prints them."""
    place = tmp_path_factory.mktemp("schemas")
    workspaces.small(place)
    flags = {"outline": (), "book": ("--book",), "settings": ("--settings",)}
    return {name: workspaces.expand(place, "outline", "schema", *flag).json for name, flag in flags.items()}


def errors(schema: Any, document: Any) -> Iterator[jsonschema.ValidationError]:
    return jsonschema.Draft202012Validator(schema).iter_errors(document)


def parsed(path: Path) -> Any:
    """The file as an editor reads it; a text where PyYAML has YAML 1.1's mind about ``no``."""
    return yaml.safe_load(path.read_text(encoding="utf-8").replace(": no}", ": 'no'}"))


def checked(folder: Path, name: str) -> tuple[int, set[int], str]:
    """Exit code of ``outline check``, the lines that it names, and what it says."""
    place = workspaces.shipped(folder)
    shutil.copy(BROKEN / f"{name}.yaml", place / "outlines" / "03.yaml")
    ran = workspaces.expand(place, "outline", "check", "03", "--format", "json")
    found = [one for one in json.loads(ran.out)["findings"] if one["level"] == "error"]
    return ran.code, {one["line"] for one in found}, ran.err


@pytest.mark.parametrize("name", sorted(TEN))
def test_ten_wrong_outlines_are_flagged_alike(tmp_path: Path, schemas: dict[str, Any], name: str) -> None:
    code, lines, told = checked(tmp_path / "w", name)
    assert code == 2
    path = BROKEN / f"{name}.yaml"
    found: list[Any] = list(errors(schemas["outline"], parsed(path)))
    assert found, TEN[name]
    file = read_yaml(path)
    for error in found:
        if error.validator == "required":
            missing = [key for key in error.validator_value if key not in error.instance]
            assert all(f'the key "{key}" is missing' in told for key in missing)
        elif error.validator == "additionalProperties":
            unknown = set(error.instance) - set(error.schema["properties"])
            assert all(f'unknown key "{key}"' in told for key in unknown)
        else:
            assert file.value(tuple(error.absolute_path)).line in lines, error.message


@pytest.mark.parametrize("name", sorted(ONLY_CHECK))
def test_what_only_check_finds(tmp_path: Path, schemas: dict[str, Any], name: str) -> None:
    code, lines, _ = checked(tmp_path / "w", name)
    assert code == 2
    assert lines
    assert not list(errors(schemas["outline"], parsed(BROKEN / f"{name}.yaml")))


def test_the_table_in_the_docs_is_this_one() -> None:
    page = (ROOT / "docs" / "editors-and-ci.md").read_text(encoding="utf-8")
    for reason in ONLY_CHECK.values():
        assert f"| {reason} |" in page


def test_what_is_shipped_is_fine(tmp_path: Path, schemas: dict[str, Any]) -> None:
    place = workspaces.shipped(tmp_path / "w")
    for path in sorted((place / "outlines").glob("*.yaml")):
        schema = schemas["book" if path.stem == "book" else "outline"]
        assert not list(errors(schema, yaml.safe_load(path.read_text(encoding="utf-8")))), path
    assert workspaces.expand(place, "outline", "check").code == 0
    for path in (place / "expand.toml", ROOT / "src/expand/data/profiles.toml"):
        assert not list(errors(schemas["settings"], tomllib.loads(path.read_text()))), path
    ready = tomllib.loads((ROOT / "src/expand/data/providers.toml").read_text())
    assert not list(errors(schemas["settings"], ready))


WRONG_SETTINGS = {
    "[author]\nmodle = 'x'\n": 2,
    "[author]\nconcurrency = 0\n": 2,
    "[author]\nbase_url = 'localhost'\n": 2,
    "[models.a]\n\ncontext_window = 'big'\n": 3,
    "[models.a]\nparameters = { n = 2 }\n": 2,
    "[models.a]\nprices = { prompt = 1 }\n": 2,
    "[models.a]\noutput_cap_name = 'cap'\n": 2,
    "[providers.b]\nkey_header = 'a b'\n": 2,
    "[providers.b.headers]\nauthorization = 'Bearer x'\n": 2,
    "[providers.b.profile]\nlanguages = 'en'\n": 2,
    "authors = {}\n": 1,
}


@pytest.mark.parametrize("text", WRONG_SETTINGS)
def test_wrong_settings_are_flagged_alike(tmp_path: Path, schemas: dict[str, Any], text: str) -> None:
    assert list(errors(schemas["settings"], tomllib.loads(text)))
    path = tmp_path / "expand.toml"
    path.write_text(text)
    with pytest.raises(InputErrors) as told:
        read_settings(path, environment={})
    (error,) = told.value.errors
    assert error.place is not None
    assert error.place.line == WRONG_SETTINGS[text]


def test_settings_that_init_writes_name_their_schema(tmp_path: Path, schemas: dict[str, Any]) -> None:
    root = create_workspace(tmp_path / "book").workspace.root
    text = (root / "expand.toml").read_text(encoding="utf-8")
    first = text.splitlines()[0]
    assert first.startswith("#:schema ./")
    schema = json.loads((root / first.removeprefix("#:schema ")).read_text(encoding="utf-8"))
    assert schema == schemas["settings"]
    live = text.replace("# model =", "model =").replace("# provider =", "provider =")
    assert not list(errors(schema, tomllib.loads(live)))
    (root / "expand.toml").write_text(live, encoding="utf-8")
    assert read_settings(root / "expand.toml", environment={}).provider.name == "ollama"


def test_every_key_of_the_settings_has_a_meaning_and_a_fitting_example(
    schemas: dict[str, Any],
) -> None:
    def walk(schema: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
        for name, inner in schema.get("properties", {}).items():
            yield name, inner
            yield from walk(inner)
            if isinstance(inner.get("additionalProperties"), dict):
                yield from walk(inner["additionalProperties"])

    found = list(walk(schemas["settings"]))
    assert {"provider", "context_window", "key_variable", "batch_discount"} <= {n for n, _ in found}
    for name, inner in found:
        assert len(inner["description"]) > 3, name
        for example in inner["examples"]:
            assert not list(errors(inner, example)), (name, example)


def test_what_no_schema_says_of_settings_the_tool_says(tmp_path: Path, schemas: dict[str, Any]) -> None:
    text = "[author]\nprovider = 'olama'\n"
    assert not list(errors(schemas["settings"], tomllib.loads(text)))
    path = tmp_path / "expand.toml"
    path.write_text(text)
    with pytest.raises(InputError, match=r"expand\.toml:2:1: there is no provider 'olama'"):
        read_settings(path, environment={})
