"""A folder that somebody else prepared: no link leads a command out of it, and no source is a file of the tool."""

from __future__ import annotations

import os
import re
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from scripted_server import ScriptedServer
from workspaces import BOOK, OUTLINE, Ran, draft_of, expand, small

from expand.errors import InputError
from expand.paths import reserved_part
from expand.workspace import Workspace, write_atomically

SECRET = "c0ffee-private-key"
LIVE = ("chapter", "07", "--base-url", "http://127.0.0.1:9/v1")
COMMANDS = (
    ("chapter", "07", "--dry-run"),
    ("prompt", "show", "07", "--section", "1"),
    ("prompt", "list"),
    ("prompt", "list", "--chapter", "07"),
    ("prompt", "diff"),
    ("review", "07"),
    ("accept", "07"),
    ("accept", "07", "--force"),
    ("accept", "--undo", "07"),
    ("outline", "check"),
    ("outline", "import", "chapters/07_signals.md", "--force"),
    ("status",),
    ("budget",),
    ("plan",),
    ("doctor",),
    ("ledger", "verify"),
)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return small(tmp_path / "book")


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """A file outside of the workspace, in a folder with the names that a workspace has."""
    elsewhere = small(tmp_path / "elsewhere")
    for name in ("07.yaml", "07.md", "book.yaml", "section.j2", "ledger.db", "accepted.jsonl"):
        (elsewhere / name).write_text(f"{SECRET}\n{{{{ lines }}}} lines\n", encoding="utf-8")
    (elsewhere / "expand.toml").write_text(f"{SECRET} = [", encoding="utf-8")
    return elsewhere


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with ScriptedServer() as running:
        yield running


def link(place: Path, name: str, target: Path | str) -> None:
    path = place / name
    if path.exists() and not path.is_symlink():
        path.rename(path.with_name(f"{path.name}.before"))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(target)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


LINKED = (
    ("prompts/section.j2", "section.j2"),
    ("prompts", ""),
    ("prompts/chapters/07", ""),
    ("outlines/07.yaml", "07.yaml"),
    ("outlines/book.yaml", "book.yaml"),
    ("outlines", ""),
    ("chapters/07_signals.md", "07.md"),
    ("chapters", ""),
    ("drafts/07.md", "07.md"),
    ("drafts", ""),
    ("expand.toml", "expand.toml"),
    (".expand/ledger.db", "ledger.db"),
    (".expand/accepted.jsonl", "accepted.jsonl"),
    (".expand", ""),
)


@pytest.mark.parametrize(("name", "target"), LINKED, ids=[name for name, _ in LINKED])
def test_no_command_follows_a_link_out_of_the_workspace(place: Path, secret: Path, name: str, target: str) -> None:
    link(place, name, secret / target)
    before = contents(secret)
    refused = 0
    for command in COMMANDS:
        ran = expand(place, *command)
        assert SECRET not in ran.out + ran.err, command
        assert ran.code in (0, 2, 4, 5), (command, ran.err)  # one that does not use the file may work
        refused += ran.code == 2 and f"the link {name} leads to {secret / target}".rstrip("/") in ran.out + ran.err
    assert refused >= 1
    assert contents(secret) == before


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="the environment is no file here")
def test_a_template_that_is_the_environment_is_refused(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_SECRET", SECRET)
    link(place, "prompts/section.j2", "/proc/self/environ")
    ran = expand(place, "prompt", "show", "07", "--section", "1")
    assert ran.code == 2
    assert SECRET not in ran.out + ran.err
    assert "prompts/section.j2: the link prompts/section.j2 leads to /proc/" in ran.err
    assert "put a copy of what is there into the workspace" in ran.err


def test_a_chain_of_links_is_followed_to_its_end(place: Path, secret: Path) -> None:
    link(place, "prompts/section.j2", "other.j2")
    link(place, "prompts/other.j2", "../chapters/third.j2")
    link(place, "chapters/third.j2", secret / "section.j2")
    ran = expand(place, "prompt", "show", "07", "--section", "1")
    assert ran.code == 2
    assert f"leads to {secret / 'section.j2'}, outside of the workspace" in ran.err


def test_a_link_in_a_circle_and_one_to_nowhere_outside(place: Path, tmp_path: Path) -> None:
    link(place, "drafts/07.md", "07.md")
    ran = expand(place, "review", "07")
    assert ran.code == 2
    assert "drafts/07.md: this path cannot be followed: Too many levels of symbolic links" in ran.err
    (place / "drafts" / "07.md").unlink()
    link(place, "drafts/07.md", tmp_path / "not-there.md")
    assert expand(place, *LIVE).code == 2
    assert not (tmp_path / "not-there.md").exists()


def test_a_pipe_a_socket_and_a_device_stop_no_command(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (place / "drafts").mkdir()
    os.mkfifo(place / "drafts" / "07.md")
    ran = expand(place, "review", "07")
    assert (ran.code, "drafts/07.md: this is neither a file nor a folder" in ran.err) == (2, True)
    (place / "drafts" / "07.md").unlink()
    (place / "prompts").mkdir()
    with socket.socket(socket.AF_UNIX) as listening:
        monkeypatch.chdir(place)  # the address of a socket is short
        listening.bind("prompts/section.j2")
        assert expand(place, "chapter", "07", "--dry-run").code == 2
    (place / "outlines" / "book.yaml").unlink()
    os.mkfifo(place / "outlines" / "book.yaml")
    assert expand(place, "status").code == 2
    with pytest.raises(InputError, match="no ordinary file"):
        write_atomically(Path("/dev/null"), "text")


@pytest.mark.parametrize("target", [".git/config", ".env", "outlines/07.yaml", "expand.toml"])
def test_a_link_to_a_file_of_another_kind_is_refused(place: Path, target: str) -> None:
    (place / ".git").mkdir()
    for name in (".git/config", ".env"):
        (place / name).write_text(SECRET)
    before = (place / target).read_bytes()
    link(place, "prompts/section.j2", place / target)
    link(place, "drafts/07.md", place / target)
    for command in (("prompt", "show", "07", "--section", "1"), LIVE, ("accept", "07", "--force")):
        ran = expand(place, *command)
        assert ran.code == 2
        assert f"this is a link to {target}, a file of the tool's own or a hidden one" in ran.err
        assert SECRET not in ran.out + ran.err
    assert (place / target).read_bytes() == before


def test_a_workspace_that_is_reached_through_a_link_is_one(place: Path, tmp_path: Path) -> None:
    (tmp_path / "short").symlink_to(place)
    assert expand(tmp_path / "short", "chapter", "07", "--dry-run").code == 0
    assert Workspace(root=tmp_path / "short").outline("07").id == "07"


def test_links_inside_the_workspace_stay_and_their_targets_are_written(place: Path, server: ScriptedServer) -> None:
    (place / "docs").mkdir()
    (place / "chapters" / "07_signals.md").rename(place / "docs" / "07.md")
    link(place, "chapters/07_signals.md", "../docs/07.md")
    link(place, "drafts/07.md", "../work/07.md")
    (place / "work").mkdir()
    former = (place / "docs" / "07.md").read_bytes()
    assert expand(place, "chapter", "07", "--base-url", server.base_url).code in (0, 5)
    assert (place / "drafts" / "07.md").readlink() == Path("../work/07.md")
    assert "<!-- expand" in (place / "work" / "07.md").read_text(encoding="utf-8")
    assert expand(place, "accept", "07").code == 0
    assert (place / "chapters" / "07_signals.md").readlink() == Path("../docs/07.md")
    assert (place / "docs" / "07.md").read_bytes() != former
    assert expand(place, "accept", "--undo", "07").code == 0
    assert (place / "chapters" / "07_signals.md").readlink() == Path("../docs/07.md")
    assert (place / "docs" / "07.md").read_bytes() == former


def test_undoing_a_document_that_a_link_promised_removes_it_and_keeps_the_link(
    place: Path, server: ScriptedServer
) -> None:
    (place / "chapters" / "07_signals.md").unlink()
    link(place, "chapters/07_signals.md", "new.md")
    assert expand(place, "chapter", "07", "--base-url", server.base_url).code in (0, 5)
    assert expand(place, "accept", "07").code == 0
    assert (place / "chapters" / "new.md").is_file()
    assert expand(place, "accept", "--undo", "07").code == 0
    assert not (place / "chapters" / "new.md").exists()
    assert (place / "chapters" / "07_signals.md").is_symlink()


def test_a_summary_lists_no_document_outside(place: Path, secret: Path) -> None:
    (place / "SUMMARY.md").write_text("- [Seven](chapters/linked.md)\n", encoding="utf-8")
    link(place, "chapters/linked.md", secret / "07.md")
    ran = expand(place, "outline", "import", str(place / "SUMMARY.md"))
    assert ran.code == 2
    assert f"leads to {secret / '07.md'}, outside of the listing's folder and the workspace" in ran.err
    assert SECRET not in ran.out + ran.err
    # A listing elsewhere was named by the user; what lies below it was meant too.
    (secret / "SUMMARY.md").write_text("- [Eight](08_pipes.md)\n", encoding="utf-8")
    (secret / "08_pipes.md").write_text("# Pipes\n\n## Opening\n", encoding="utf-8")
    assert expand(place, "outline", "import", str(secret / "SUMMARY.md")).code == 0


# --- sources --------------------------------------------------------------------------------------

RESERVED = (
    "expand.toml", "EXPAND.toml", "./expand.toml", "outlines/07.yaml", "Outlines/x.md", "prompts/x.md", "drafts/07.md",
    "briefs/07.md", "references/x.md", ".expand/ledger.db", ".git/config", ".GIT/config", "chapters/.git/config",
    "./.git/config", ".github/x.md", ".gitignore", ".g\u200cit/config", ".git./config", "git~1/config", ".env",
    "chapters/.hidden.md", "\uff0egit/config",
)  # fmt: skip
ALLOWED = (
    "outlines.md", "outlinesx/x.md", "docs/outlines/x.md", "docs/drafts/x.md", "docs/expand.toml", "gitx/x.md",
    "git/x.md", "docs./x.md", "chapters/v1.0/x.md", "./chapters/x.md", "reference/x.md",
)  # fmt: skip


@pytest.mark.parametrize("source", [*RESERVED, "chapters/../.git/config"])
def test_a_source_is_no_file_of_the_tool_or_of_git(place: Path, source: str) -> None:
    outline = place / "outlines" / "07.yaml"
    outline.write_text(OUTLINE.replace("chapters/07_signals.md", source), encoding="utf-8")
    (place / "drafts").mkdir()
    (place / "drafts" / "07.md").write_text("# T\n\n## 1. One\n\nText.\n", encoding="utf-8")
    before = contents(place)
    for command in (("outline", "check"), ("chapter", "07", "--dry-run"), ("accept", "07", "--force")):
        ran = expand(place, *command)
        assert ran.code == 2, command
        said = ran.out + ran.err
        assert "outlines/07.yaml:3:9: " in said
        assert ("a file of the tool's own or a hidden one; name the chapter's document" in said) != (".." in source)
    assert {name: data for name, data in contents(place).items() if "/.expand/" not in name} == before
    book = place / "outlines" / "book.yaml"
    outline.unlink()
    book.write_text(BOOK.replace("{id: 07, ", f'{{id: 07, source: "{source}", '), encoding="utf-8")
    assert expand(place, "outline", "check").code == 2
    with pytest.raises(InputError):
        Workspace(root=place).source_path(source)


@pytest.mark.parametrize("source", ALLOWED)
def test_other_sources_are_documents(place: Path, source: str) -> None:
    (place / "outlines" / "07.yaml").write_text(OUTLINE.replace("chapters/07_signals.md", source), encoding="utf-8")
    assert expand(place, "outline", "check").code == 0
    assert not reserved_part(source.split("/"))


def test_a_source_that_is_a_link_to_a_file_of_git_is_refused(place: Path) -> None:
    (place / ".git").mkdir()
    (place / ".git" / "config").write_text("[remote]\n")
    link(place, "chapters/07_signals.md", "../.git/config")
    ran = expand(place, "outline", "check")
    assert ran.code == 2
    assert "07.yaml:3:9: source" in ran.out + ran.err
    assert "this is a link to .git/config, a file of the tool's own or a hidden one" in ran.out + ran.err


def test_a_record_of_acceptances_names_no_file_of_git(place: Path) -> None:
    (place / ".git").mkdir()
    (place / ".git" / "config").write_text("")
    empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    (place / ".expand").mkdir()
    for entry in (
        f'{{"chapter": "07", "source": ".git/config", "former": "", "accepted": "{empty}"}}',
        f'{{"chapter": "07", "source": "chapters/x.md", "former": "../../.git/config", "accepted": "{empty}"}}',
        "[" * 100_000,
    ):
        (place / ".expand" / "accepted.jsonl").write_text(entry + "\n", encoding="utf-8")
        ran = expand(place, "accept", "--undo", "07")
        assert ran.code == 2
        assert ".expand/accepted.jsonl:1: the record of what was accepted or replaced is damaged" in ran.err
    assert (place / ".git" / "config").exists()


# --- modes ----------------------------------------------------------------------------------------


def modes(folder: Path) -> dict[str, str]:
    found = [folder, *folder.rglob("*")]
    return {
        path.name: oct(stat.S_IMODE(path.stat().st_mode))
        for path in found
        if stat.S_IMODE(path.stat().st_mode) != (0o700 if path.is_dir() else 0o600)
    }


@pytest.fixture(params=[0o000, 0o022, 0o077], ids=oct)
def mask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


@pytest.mark.skipif(os.name == "nt", reason="there are no such modes")
def test_what_the_tool_keeps_is_for_its_owner_only(place: Path, server: ScriptedServer, mask: int) -> None:
    def run(*arguments: str) -> Ran:
        ran = expand(place, *arguments)
        assert ran.code in (0, 5), ran.err
        return ran

    run("chapter", "07", "--base-url", server.base_url, "--verbose")
    run("accept", "07")
    run("status", "--base-url", server.base_url)
    state = place / ".expand"
    kept = {path.relative_to(state).parts[0] for path in state.rglob("*")}
    assert {"ledger.db", "accepted.jsonl", "accepted.lock", "drafts.lock", "sources"} <= kept
    assert modes(state) == {}
    assert stat.S_IMODE((place / "drafts" / "07.md").stat().st_mode) == 0o666 & ~mask
    draft = draft_of(place)

    # As an older version left it.
    for path in [*state.rglob("*"), state]:
        path.chmod(0o755 if path.is_dir() else 0o644)
    run("budget")
    assert modes(state) == {}
    (state / "ledger.db").chmod(0o644)
    run("chapter", "07", "--base-url", server.base_url)
    assert modes(state) == {}
    assert draft_of(place) == draft


def test_closing_the_folder_follows_no_link_in_it(place: Path, tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir(mode=0o755)
    shared.chmod(0o755)
    (place / ".expand").mkdir(mode=0o755)
    (place / ".expand" / "mine").symlink_to(shared)
    assert expand(place, "budget").code == 0
    assert stat.S_IMODE(shared.stat().st_mode) == 0o755


def test_init_makes_the_folder_for_its_owner_only(tmp_path: Path) -> None:
    assert expand(tmp_path, "init", str(tmp_path / "new")).code == 0
    assert modes(tmp_path / "new" / ".expand") == {}
    assert (tmp_path / "new" / ".expand" / ".gitignore").read_text() == "*\n"


def test_init_writes_through_no_link(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "outlines").symlink_to(tmp_path / "elsewhere")
    ran = expand(tmp_path, "init", str(tmp_path / "new"))
    assert ran.code == 2
    assert "outside of the workspace" in ran.err
    assert not list((tmp_path / "elsewhere").iterdir())


def test_every_path_of_a_workspace_comes_through_one_door() -> None:
    package = Path(__file__).parents[1] / "src" / "expand"
    built = [
        f"{path.relative_to(package)}: {line.strip()}"
        for path in package.rglob("*.py")
        for line in path.read_text(encoding="utf-8").splitlines()
        if re.search(r"workspace\.root\s*/|workspace\.root\.joinpath", line)
        and path.name != "outline_check.py"  # the names of files in messages
    ]
    assert built == []
