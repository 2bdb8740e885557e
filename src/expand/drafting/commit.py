"""Accepted chapters as git commits: one a chapter, with figures in its message, and nothing in it but what accepting
changed, whatever else is staged or changed in the repository."""

import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Collection
from contextlib import closing

from expand.budget import usd_from_pico
from expand.drafting.accept import Accepted
from expand.errors import InputError, Place
from expand.ledger import Ledger
from expand.workspace import Workspace


def require_repository(workspace: Workspace) -> None:
    """Raises ``InputError`` where no commit could be made, before anything is accepted."""
    if shutil.which("git") is None:
        raise InputError("--commit needs git, which is not installed", remedy="install it, or leave --commit out")
    if _git(workspace, "rev-parse", "--is-inside-work-tree", check=False) != "true":
        raise InputError(
            "the workspace is in no git repository",
            remedy="run `git init`, or leave --commit out",
            place=Place(path=workspace.root),
        )
    for state in ("MERGE_HEAD", "CHERRY_PICK_HEAD", "REVERT_HEAD"):
        if _git(workspace, "rev-parse", "-q", "--verify", state, check=False):
            raise InputError(
                f"a {state.partition('_HEAD')[0].lower().replace('_', ' ')} is not finished in the repository",
                remedy="finish it, or leave --commit out",
                place=Place(path=workspace.root),
            )
    _git(workspace, "var", "GIT_COMMITTER_IDENT")  # says what is missing where git knows no name


def require_tracked(workspace: Workspace, sources: Collection[str]) -> None:
    """Raises ``InputError`` for a document that git ignores."""
    ignored = _git(workspace, "check-ignore", "--stdin", stdin="\n".join(sources), check=False)
    if ignored:
        raise InputError(
            f"git ignores {', '.join(ignored.splitlines())}",
            remedy="take it out of .gitignore, or leave --commit out",
            place=Place(path=workspace.root),
        )


def commit_chapter(workspace: Workspace, accepted: Accepted) -> str:
    """Commits what accepting a chapter changed. Returns the commit's short id, "" where nothing differs from the last.

    Raises ``InputError`` with git's own words; the chapter is accepted all the same."""
    literal = [f":(literal){file}" for file in accepted.files]
    files = [file for file in literal if _git(workspace, "status", "--porcelain", "-uall", "--", file)]
    if not files:
        return ""
    # A file that git does not know has to be added before `commit --only` takes it; nothing else is staged.
    _git(workspace, "add", "--all", "--", *files)
    _git(workspace, "commit", "--quiet", "--only", "--file=-", "--", *files, stdin=_message(workspace, accepted))
    return _git(workspace, "rev-parse", "--short", "HEAD")


def standing_commit(workspace: Workspace, chapter: str, source: str) -> str:
    """The command that takes back the last commit of a document, if that is of accepting the chapter, and the document
    was taken back since; "" where there is none."""
    if shutil.which("git") is None:
        return ""
    file = f":(literal){source}"
    last, _, subject = _git(workspace, "log", "-1", "--format=%h %s", "--", file, check=False).partition(" ")
    if not re.match(rf"Accept chapter {re.escape(chapter)}[:,]", subject) or not _git(
        workspace, "status", "--porcelain", "--", file
    ):
        return ""
    files = _git(workspace, "show", "--relative", "--name-only", "--format=", last).splitlines()
    # git reverts no file that differs from its last commit, even if it has the former text.
    return f"git restore {shlex.join(files)} && git revert {last}"


def _message(workspace: Workspace, accepted: Accepted) -> str:
    """What was accepted, and how long, how good and how dear it is."""
    result, book = accepted.result, workspace.book()
    title = workspace.outline(result.id, result.language).title.say(result.language, book.language)
    sections = "" if accepted.whole else f", section {', '.join(str(s.number) for s in result.sections)}"
    severities = [finding.severity for finding in result.every_finding]
    findings = ", ".join(f"{severities.count(s)} {s}" for s in ("blocking", "warning", "note"))
    lines = [
        f"Accept chapter {result.id}{sections}: {title}",
        "",
        f"Lines: {result.lines:,} of {result.target_lines:,} (length score {result.length_score})",
        f"Draft: {accepted.draft}, plan {result.plan}, language {result.language}",
        f"Findings: {findings}",
    ]
    if result.code:
        lines.append(f"Code: {result.code.checked - result.code.failed} of {result.code.blocks} blocks verified")
    return "\n".join([*lines, *_spent(workspace, accepted)]) + "\n"


def _spent(workspace: Workspace, accepted: Accepted) -> list[str]:
    """What the ledger says that the sections took; of a whole chapter its brief and its read-throughs, too."""
    ledger = Ledger.read(workspace.ledger_place)
    if ledger is None:
        return []
    with closing(ledger):
        parts = ledger.overview(0).slices
    result = accepted.result
    numbers = {section.number for section in result.sections} | ({0} if accepted.whole else set())
    own = [p for p in parts if p.chapter == result.id and p.language == result.language and p.section in numbers]
    if not own:
        return []
    models = ", ".join(sorted({part.model for part in own}))
    known = not any(part.unpriced for part in own)
    cost = f"{usd_from_pico(sum(part.cost_pico_usd for part in own)):.4f} USD" if known else "no price known"
    attempts = sum(part.attempts for part in own)
    return [f"Tokens: {sum(part.tokens for part in own):,} in {attempts:,} attempts by {models}; {cost}"]


def _git(workspace: Workspace, *words: str, check: bool = True, stdin: str = "") -> str:
    """What git prints, run at the workspace's root."""
    ran = subprocess.run(
        ["git", "-C", str(workspace.root), "-c", "core.quotePath=false", *words],
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        input=stdin,
        env={**os.environ, "LC_ALL": "C"},
        check=False,
    )
    if check and ran.returncode:
        said = " ".join((ran.stderr or ran.stdout).split())
        raise InputError(
            f"git {words[0]} failed: {said}",
            remedy="mend that and give `accept --commit` again; what was accepted stays",
            place=Place(path=workspace.root),
        )
    return ran.stdout.strip()
