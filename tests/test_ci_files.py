"""The pre-commit hook and the example workflows run commands that exist, on files that matter."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from scripted_server import ScriptedServer
from typer.testing import CliRunner
from workspaces import expand, small

from expand.cli import app
from expand.scaffold import create_workspace

ROOT = Path(__file__).parents[1]
DRAFTING = ROOT / "docs" / "examples" / "draft.yml"


def scripts() -> set[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return set(project["scripts"])


def runs(command: str) -> None:
    name, *arguments = shlex.split(command)
    assert name in scripts()
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output


@pytest.fixture
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    create_workspace(tmp_path)
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("_here")
def test_the_hook_runs_and_looks_at_outlines() -> None:
    (hook,) = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
    runs(hook["entry"])
    assert hook["pass_filenames"] is False
    watched = re.compile(hook["files"])
    for path in (
        "outlines/03.yaml",
        "docs/outlines/book.yaml",
        "expand.toml",
        "docs/expand.toml",
    ):
        assert watched.search(path), path
    for path in ("outlines/.schema/outline.json", "chapters/03.md", "myoutlines/3.yaml"):
        assert not watched.search(path), path


@pytest.mark.usefixtures("_here")
def test_the_example_workflow_runs() -> None:
    workflow: dict[Any, Any] = yaml.safe_load((ROOT / "docs" / "examples" / "outlines.yml").read_text())
    steps = workflow["jobs"]["check"]["steps"]
    commands = [step["run"] for step in steps if "run" in step]
    assert commands.pop(0) == "pip install chapter-expand"
    for command in commands:
        runs(command)


@pytest.mark.usefixtures("_here")
def test_the_schemas_that_init_writes_are_those_of_the_command() -> None:
    for arguments, name in (([], "outline"), (["--book"], "book")):
        result = CliRunner().invoke(app, ["outline", "schema", *arguments])
        assert result.stdout == Path(f"outlines/.schema/{name}.json").read_text()


def filled_in(text: str, values: Mapping[str, str]) -> str:
    """A text with its ``${{ expressions }}`` filled in."""
    return re.sub(r"\$\{\{ (.*?) \}\}", lambda found: values[found[1]], text)


class Runner:
    """Runs the shell steps of the drafting workflow in a clone, as a runner does, with a ``gh`` that writes down how it
    is called."""

    def __init__(self, folder: Path, server: ScriptedServer) -> None:
        self.steps: list[dict[str, Any]] = yaml.safe_load(DRAFTING.read_text())["jobs"]["draft"]["steps"]
        self.bin, self.temp, self.remote, self.clone = (folder / name for name in ("bin", "temp", "remote", "clone"))
        for made in (self.bin, self.temp):
            made.mkdir()
        (self.bin / "gh").write_text(f'#!/bin/sh\nprintf "%s\\n" "$*" >> {self.temp}/gh\n')
        (self.bin / "gh").chmod(0o755)
        (self.bin / "chapter-expand").symlink_to(Path(sys.executable).parent / "chapter-expand")
        origin = small(folder / "origin")
        self.git(origin, "init", "--quiet", "--initial-branch", "main")
        self.git(origin, "add", "--all")
        self.git(origin, "-c", "user.name=A", "-c", "user.email=a@example.org", "commit", "--quiet", "-m", "Begin")
        self.git(folder, "clone", "--quiet", "--bare", str(origin), str(self.remote))
        self.git(folder, "clone", "--quiet", str(self.remote), str(self.clone))
        self.environment = {
            "RUNNER_TEMP": str(self.temp),
            "OPENAI_BASE_URL": server.base_url,
            "EXPAND_MODEL": "scripted",
        }

    @staticmethod
    def git(folder: Path, *arguments: str) -> str:
        return subprocess.run(["git", "-C", folder, *arguments], check=True, capture_output=True, text=True).stdout

    def run(self, label: str, number: int = 1, **environment: str) -> tuple[int, str]:
        """Runs the job; the exit code of its first step that fails, else 0, and all that was printed."""
        known = {
            "github.event.label.name": label,
            "github.event.issue.number": "12",
            "github.token": "token",
            "secrets.OPENAI_API_KEY": "sk-0123456789",
        }
        output = self.temp / f"output-{number}"
        output.touch()
        printed = ""
        for step in self.steps:
            if "run" not in step or step["run"].startswith("pip install"):
                continue
            assert "${{" not in step["run"], "an expression in a script is a way in for whoever writes the label"
            pairs = (line.partition("=") for line in output.read_text().splitlines())
            said = {**known, **{f"steps.draft.outputs.{name}": value for name, _, value in pairs}}
            own = {name: filled_in(value, said) for name, value in step.get("env", {}).items()}
            path = f"{self.bin}{os.pathsep}{os.environ['PATH']}"
            files = {"GITHUB_OUTPUT": str(output), "GITHUB_RUN_ID": str(number), "PATH": path}
            ran = subprocess.run(
                ["bash", "-e", "-c", step["run"]],
                cwd=self.clone,
                env={**os.environ, **self.environment, **files, **own, **environment},
                capture_output=True,
                text=True,
                check=False,
            )
            printed += ran.stdout + ran.stderr
            if ran.returncode:
                return ran.returncode, printed
        return 0, printed


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with ScriptedServer() as made:
        yield made


def test_the_drafting_workflow_opens_a_pull_request(tmp_path: Path, server: ScriptedServer) -> None:
    runner = Runner(tmp_path, server)
    source = (runner.clone / "chapters" / "07_signals.md").read_text()
    code, printed = runner.run("expand: 07")
    assert code == 0, printed
    changed = runner.git(runner.remote, "diff", "--name-only", "main", "expand/07-1").split()
    assert set(changed) == {"chapters/07_signals.md", "drafts/07.md", "memory/07.yaml"}
    assert runner.git(runner.remote, "show", "expand/07-1:chapters/07_signals.md") != source
    setup, made = (runner.temp / "gh").read_text().splitlines()
    assert setup == "auth setup-git"
    assert made.startswith("pr create --head expand/07-1 --title Draft chapter 07 --body-file ")
    assert (runner.temp / "body.md").read_text().startswith("For #12.\n\n## Chapter 07")
    assert "sk-0123456789" not in printed
    # Another run has the ledger from the cache, and buys nothing.
    bought = len(server.requests)
    runner.git(runner.clone, "checkout", "--quiet", "--force", "-B", "main", "origin/main")
    assert runner.run("expand:07", 2)[0] == 0
    assert len(server.requests) == bought
    assert runner.git(runner.remote, "diff", "expand/07-1", "expand/07-2") == ""


def test_the_drafting_workflow_annotates_findings(tmp_path: Path, server: ScriptedServer) -> None:
    server.behaviour = "placeholder"
    runner = Runner(tmp_path, server)
    code, printed = runner.run("expand: 07")
    assert code == 0, printed
    found = re.findall(r"^::(warning|error) file=(.+),line=(\d+)::(.+)$", printed, re.MULTILINE)
    draft = (runner.clone / "drafts" / "07.md").read_text().splitlines()
    assert found
    assert {file for _, file, _, _ in found} == {"drafts/07.md"}
    assert all(1 <= int(line) <= len(draft) for _, _, line, _ in found)
    (chapter,) = expand(runner.clone, "review", "07", "--json").json["chapters"]
    findings = [*chapter["findings"], *(finding for section in chapter["sections"] for finding in section["findings"])]
    assert len(found) == sum(finding["severity"] != "note" for finding in findings)


def test_the_drafting_workflow_says_that_the_budget_did_not_reach(tmp_path: Path, server: ScriptedServer) -> None:
    runner = Runner(tmp_path, server)
    assert "BUDGET" in next(step for step in runner.steps if step.get("id") == "draft")["env"]
    code, printed = runner.run("expand: 07", BUDGET="3500")
    assert (code, server.billed_tokens <= 3500) == (3, True), printed
    assert "::error::the budget did not reach" in printed
    assert "drafts/07.md" in runner.git(runner.remote, "diff", "--name-only", "main", "expand/07-1")


@pytest.mark.parametrize(
    "label", ['expand: 07"; touch pwned #', "expand: $(touch pwned)", "expand: --all", "expand:", "expand: ../x"]
)
def test_a_label_is_no_script(tmp_path: Path, server: ScriptedServer, label: str) -> None:
    runner = Runner(tmp_path, server)
    code, printed = runner.run(label)
    assert (code, server.requests) == (2, []), printed
    assert not (runner.clone / "pwned").exists()
    assert runner.git(runner.remote, "branch", "--list").split() == ["*", "main"]


def test_the_drafting_workflow_gives_the_key_to_one_step_alone() -> None:
    workflow: dict[Any, Any] = yaml.safe_load(DRAFTING.read_text())
    steps = workflow["jobs"]["draft"]["steps"]
    assert [step.get("id") for step in steps if "secrets." in str(step)] == ["draft"]
    assert workflow["permissions"] == {"contents": "write", "pull-requests": "write"}
    assert "pull_request_target" not in DRAFTING.read_text()


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="shellcheck is not installed")
@pytest.mark.parametrize("path", sorted((ROOT / "docs" / "examples").glob("*.yml")), ids=lambda path: path.name)
def test_shellcheck_has_nothing_to_say_of_the_examples(path: Path) -> None:
    for job in yaml.safe_load(path.read_text())["jobs"].values():
        for step in job["steps"]:
            line = ["shellcheck", "--shell", "bash", "-"]
            ran = subprocess.run(line, input=step.get("run", ":"), capture_output=True, text=True, check=False)
            assert ran.returncode == 0, ran.stdout
