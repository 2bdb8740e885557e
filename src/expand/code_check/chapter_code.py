"""Judge all code blocks of a chapter, side by side, and remember the verdicts.

A verdict follows from the block, from what it is judged with and from the toolchain. It is kept under the hash of all
three, so that a block that did not change is not compiled again. What could not be judged for want of something is not
kept: it may be there the next time.

Rust blocks with a file name (``Cargo.toml``, ``src/lib.rs``, ``src/bin/…``, ``tests/…``, ``benches/…``) are laid out as
they name themselves, and ``cargo check`` reads them together. A later block of the same name goes on the file, or takes
its place where it defines the same items again: then the package is read once for each state that it had. A block
without a name that needs a crate is an example of the package. A folder above those (``macros/src/lib.rs``) is a
package of its own.

The manifest that cargo gets is made here. It holds what outline or brief name, and crates of the chapter itself: a
model's text names no crate that nobody chose. Crates come from cargo's cache, offline.
"""

import hashlib
import json
import os
import re
import tomllib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import tomli_w

from expand.checks.finding import CodeCounts, Finding, excerpt, finding
from expand.code_check import checkers, sandbox
from expand.code_check.checkers import (
    PASSED,
    STD_MODULES,
    Checker,
    CodeBlock,
    CodeError,
    Verdict,
    code_blocks,
    unchecked,
)
from expand.errors import InputError
from expand.workspace import write_atomically

SECONDS = 120.0
"""How long cargo may take for a package with its crates."""
_FILE = re.compile(r"(?P<folder>(?:[\w.-]+/)*?)(?P<file>(?:src|tests|benches|examples)/.+\.rs|build\.rs|Cargo\.toml)")
_ITEM = re.compile(
    r"(?m)^(?:pub(?:\([^)]*\))?\s+)?(?:(?:async|const|unsafe)\s+)*(?:fn|struct|enum|trait|mod|type|union|macro_rules!|def|class)\s+(\w+)"
)
_TARGET = re.compile(r"src/(?:lib|main)\.rs|(?:src/bin|tests|benches|examples)/(?:[^/]+|[^/]+/main)\.rs|build\.rs")
_MANIFEST = re.compile(
    r"failed to parse manifest at `/expand-work/[^`]+`\s+Caused by:(?P<why>(?:\s+.+)+)"
    r"|error: (?P<said>.+)\n\s+--> (?:\S+/)?Cargo\.toml:\d"
)
_BOUND_MET = re.compile(r"(?i)cannot allocate memory|out of memory|\(signal: (?:9|25), ")
"""SIGKILL, SIGXFSZ."""
_EXAMPLE = "examples/block_"
"""How the names of blocks begin that have none themselves."""
_TABLES = ("dependencies", "dev-dependencies", "build-dependencies")
_CHECK = "check --offline --all-targets --keep-going --message-format=json --quiet"
_CARGO = {"CARGO_HOME": "/tmp/cargo", "CARGO_TARGET_DIR": "/tmp/target"}
_LINKED = """\
mkdir -p "$CARGO_HOME/registry"
for name in index cache; do [ -e "$1/$name" ] && ln -s "$1/$name" "$CARGO_HOME/registry/$name"; done
shift
exec "$@"
"""


class Crate(NamedTuple):
    """A crate that outline or brief name: its version, or the folder that it is in, and its features."""

    version: str = "*"
    path: Path | None = None
    features: tuple[str, ...] = ()

    def stated(self, said: object) -> dict[str, Any]:
        """The crate as a manifest states it, with the features that a model's manifest ``said`` of it."""
        own = {"path": str(self.path)} if self.path else {"version": self.version}
        more = said if isinstance(said, dict) else {}
        stated = more.get("features")
        features = sorted({*self.features, *(map(str, stated) if isinstance(stated, list) else ())})
        kept = {key: more[key] for key in ("default-features", "optional") if key in more}
        return {**own, **kept, **({"features": features} if features else {})}

    @property
    def files(self) -> list[tuple[str, int]]:
        """Its files and when they were changed; none of one from a registry: there a version never changes."""
        found = sorted((*self.path.rglob("*.rs"), *self.path.rglob("Cargo.toml"))) if self.path else []
        return [(str(file), file.stat().st_mtime_ns) for file in found]


@dataclass(frozen=True, kw_only=True)
class Project:
    """What a chapter's code is built with: the edition of blocks that name none, and crates by name."""

    edition: str = ""
    crates: Mapping[str, Crate] = field(default_factory=dict)


def belongs(block: CodeBlock) -> bool:
    """Whether a block is a file of a package."""
    return not block.skip and block.language in ("rust", "toml") and bool(_FILE.fullmatch(block.name))


def defined(block: CodeBlock) -> set[str]:
    """The names by which other files know a block of Rust or Python: those of its items and its module."""
    return {*_ITEM.findall(block.code), PurePosixPath(block.name).stem}


class Package:
    """One state of a package of the chapter: files by their path in it, each with the blocks that it is made of."""

    def __init__(
        self,
        project: Project,
        folder: str,
        parts: Mapping[str, Sequence[CodeBlock]],
        code: str,
        absent: frozenset[str] = frozenset(),
    ) -> None:
        """``parts`` are the blocks of each file, ``code`` is that of the whole chapter, ``absent`` are crates that were
        asked for and are not in cargo's cache."""
        self._project, self._folder, self._parts, self._code, self._absent = project, folder, parts, code, absent
        self._errors: dict[str, list[CodeError]] = {}
        self._done: set[str] = set()
        """What cargo said: errors by file, and the roots of the targets that were compiled."""
        self.blocks = [block for blocks in self._parts.values() for block in blocks]
        stated: dict[str, Any] = {}  # what the chapter's manifest says; a block that cannot be read has its own verdict
        for block in self._parts.get("Cargo.toml", ()):
            read, _ = _loaded(block.code)
            _merge(stated, {key: value for key, value in read.items() if isinstance(value, dict | list)})
        named = {key: value for key, value in _table(stated, "package").items() if isinstance(value, str)}
        imported = _imported(self._parts, {*project.crates, *absent})
        package = {
            "version": named.get("version", "0.1.0"),
            "name": named.get("name") or imported or PurePosixPath(folder).name or "chapter",
            "edition": named.get("edition") or project.edition or "2021",
        }
        self.name = package["name"].replace("-", "_")
        """The name by which the other files import its library."""
        self._files = dict(self._laid_out(package, stated))

    def _laid_out(self, package: Mapping[str, str], stated: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        for name, blocks in self._parts.items():
            if name != "Cargo.toml":
                unnamed = name.startswith(_EXAMPLE)
                code = checkers.rust_source(blocks[0].whole) if unnamed else "".join(block.code for block in blocks)
                if unnamed and not re.search(r"\bfn\s+main\b", code):
                    code = f"{code.rstrip()}\nfn main() {{}}\n"
                yield name, code
        modules = [found[1] for name in self._parts if (found := re.fullmatch(r"src/(\w+)\.rs", name))]
        if not {"lib", "main"} & set(modules):
            yield "src/lib.rs", "".join(f"pub mod {module};\n" for module in modules)
        made: dict[str, Any] = {"package": package}
        made |= {key: stated[key] for key in ("lib", "bin", "test", "bench", "example", "features") if key in stated}
        crates = self._project.crates
        for table in _TABLES:  # crates that nobody chose are left out
            made[table] = {
                name: crates[name].stated(said) for name, said in _table(stated, table).items() if name in crates
            }
        named = {name for table in _TABLES for name in made[table]}
        where = "dev-dependencies" if stated else "dependencies"
        made[where] |= {name: crate.stated(None) for name, crate in crates.items() if name not in named}
        yield "Cargo.toml", tomli_w.dumps(made)

    @property
    def key(self) -> str:
        """The hash of all that the verdicts follow from."""
        cargo = checkers.find_program("cargo")
        tool = (str(cargo), cargo.stat().st_mtime_ns) if cargo else ()
        crates = [(name, crate.files) for name, crate in sorted(self._project.crates.items())]
        blocks = [(block.name, block.code, block.lines_above, self._unused(block)) for block in self.blocks]
        words = (sorted(self._files.items()), blocks, tool, crates)
        return hashlib.sha256(repr(words).encode("utf-8", "replace")).hexdigest()

    def judge(self) -> list[Verdict]:
        """The verdicts on ``blocks``."""
        cargo = checkers.find_program("cargo")
        if cargo is None:
            return [unchecked("rust: cargo is not on the PATH")] * len(self.blocks)
        registry = Path(os.environ.get("CARGO_HOME") or Path.home() / ".cargo") / "registry"
        crates = [crate.path for crate in self._project.crates.values() if crate.path]
        # Without dependencies, build scripts and macros of its own, a check executes nothing but the compiler.
        files = "\n".join((*self._files, *self._files.values()))
        executes = bool(self._project.crates) or bool(re.search(r"build\.rs|proc.macro", files))
        bought = frozenset(name for name, crate in self._project.crates.items() if crate.path is None)
        outcome = sandbox.run(
            ["/bin/sh", "-c", _LINKED, "sh", str(registry), str(cargo), *_CHECK.split()],
            self._files,
            readable=(*checkers.needs_of(cargo)[0], registry, *crates),
            environment={**_CARGO, "PATH": f"{cargo.parent}:{sandbox.PROGRAMS}"},
            seconds=SECONDS,
            executes=executes,
        )
        if outcome.status == sandbox.NOT_RUN:
            return [unchecked("rust: nothing here can contain cargo")] * len(self.blocks)
        if outcome.status and bought and "offline" in outcome.output:
            lost = frozenset(name for name in bought if f"`{name}" in outcome.output) or bought
            kept = {name: one for name, one in self._project.crates.items() if name not in lost}
            project = replace(self._project, crates=kept)
            return Package(project, self._folder, self._parts, self._code, self._absent | lost).judge()
        self._read(outcome.output)
        why = self._failure(outcome)
        return [self._verdict(name, block, why) for name, blocks in self._parts.items() for block in blocks]

    def _read(self, output: str) -> None:
        """Take in cargo's messages."""
        for row in output.splitlines():
            try:
                said = json.loads(row) if row.startswith("{") else {}
            except ValueError:
                continue
            if said.get("reason") == "compiler-artifact":
                self._done.add(said["target"]["src_path"].removeprefix("/expand-work/"))
            message = said.get("message", {})
            if said.get("reason") != "compiler-message" or message.get("level") != "error":
                continue
            panic = next((c["message"] for c in message["children"] if c["message"].startswith("message: ")), None)
            for span in message["spans"]:
                if span["is_primary"]:
                    code = f"[{message['code']['code']}]: " if message.get("code") else ""
                    label = f": {note}" if (note := span["label"] or panic) else ""
                    file = os.path.normpath(span["file_name"]).removeprefix("/expand-work/")
                    error = CodeError(span["line_start"] - 1, f"{code}{message['message']}{label}")
                    self._errors.setdefault(file, []).append(error)

    def _failure(self, outcome: sandbox.Outcome) -> str:
        """Why cargo ended without an error of a file, "" where it has one or all is well; errors of the manifest and of
        what is executed are taken in."""
        own = (name for name in self._parts if name.endswith(".rs"))
        script = next((name for name in own if name == "build.rs" or "proc_macro" in self._files[name]), "")
        said = next((row for row in outcome.output.splitlines() if row.startswith(("error", "Caused by"))), "")
        # Which process meets the bound first is chance: cargo, which keeps what is printed, or the script.
        met = not 0 <= outcome.status < 128 or _BOUND_MET.search(outcome.output)
        killed = "cargo was killed: too much was printed, or too much memory taken" if met else ""
        if outcome.stopped or killed or (script and "custom build command" in outcome.output):
            panic = re.search(r"panicked at [^\n]*\n\s*(.+)", outcome.output)
            said = f"the build script failed: {panic[1].strip()}" if panic else said
            self._errors.setdefault(script, []).append(CodeError(0, outcome.stopped or killed or said))
        elif manifest := _MANIFEST.search(outcome.output):
            reason = " ".join((manifest["why"] or manifest["said"]).split())
            self._errors.setdefault("Cargo.toml", []).append(CodeError(0, reason))
        elif outcome.status and not self._errors:
            return said or f"cargo ended with {outcome.status}"
        return ""

    def _verdict(self, name: str, block: CodeBlock, why: str) -> Verdict:
        if name == "Cargo.toml":
            return self._of_manifest(block, self._errors.get(name, ()))
        first = sum(one.code.count("\n") for one in self._parts[name][: self._parts[name].index(block)])
        first += block.lines_above if name.startswith(_EXAMPLE) else 0
        rows = range(first, first + block.code.count("\n") + 1)
        own = [error._replace(line=error.line - first) for error in self._errors.get(name, ()) if error.line in rows]
        gone = "|".join(re.escape(name.replace("-", "_")) for name in self._absent)
        if gone and any(re.search(rf"`(?:{gone})`", error.message) for error in own):
            return unchecked(f"rust: cargo's cache lacks {', '.join(sorted(self._absent))}, or what they need")
        missing = {found[1] for error in own if (found := re.search(r"unlinked crate `(\w+)`", error.message))}
        known = {crate.replace("-", "_") for crate in (*self._project.crates, self.name)}
        if others := sorted(one for one in missing - known if not re.fullmatch(STD_MODULES, one)):
            said = f"rust: neither outline nor brief names the crate {', '.join(others)}"
            return unchecked(said, lasting=True)
        if own:
            return Verdict("failed", tuple(sorted({*own}))[: checkers.MOST_ERRORS])
        reason = why or self._not_reached(name)
        return unchecked(f"rust: {reason}", lasting=not why) if reason else PASSED

    def _not_reached(self, name: str) -> str:
        """Why no compiler has read a file to its end, "" where one has."""
        path, targets = PurePosixPath(name), {name}
        if not _TARGET.fullmatch(name):
            module = path.parent.name if path.stem == "mod" else path.stem
            if not any(re.search(rf"\bmod\s+{re.escape(module)}\s*;", text) for text in self._files.values()):
                return f"no file of its package declares the module {module}"
            targets = {"src/lib.rs", "src/main.rs"}
        if not self._errors or self._done & targets:
            return ""
        first = next(iter(self._errors))
        return f"{self._folder}{first} of its package does not compile" if first else self._errors[first][0].message

    def _unused(self, block: CodeBlock) -> list[str]:
        if not block.name.endswith("Cargo.toml") or not self._code.strip():
            return []
        named = [name.replace("-", "_") for name in _table(_loaded(block.code)[0], "dependencies")]
        return [name for name in named if not re.search(rf"\b{re.escape(name)}\b", self._code)]

    def _of_manifest(self, block: CodeBlock, errors: Sequence[CodeError]) -> Verdict:
        """A manifest can be read, and every crate in it is used somewhere in the chapter."""
        errors = _loaded(block.code)[1] or errors
        if not errors and (unused := self._unused(block)):
            rows = block.code.replace("-", "_").splitlines()
            line = next((n for n, row in enumerate(rows) if unused[0] in row), 0)
            errors = [CodeError(line, f"unused crate: no code of the chapter uses {', '.join(unused)}")]
        return Verdict("failed", tuple(dict.fromkeys(errors))) if errors else PASSED


def states(project: Project, blocks: Iterable[CodeBlock], code: str = "") -> list[tuple[Package, set[int]]]:
    """The states of a chapter's packages, with the identities of the blocks that are judged in each: the first that
    they are part of. ``blocks`` are files, and examples without a name; ``code`` is all of the chapter's."""
    found: list[tuple[Package, set[int]]] = []
    by_folder: dict[str, list[CodeBlock]] = {}
    for block in blocks:
        file = _FILE.fullmatch(block.name)
        by_folder.setdefault(file["folder"] if file else "", []).append(block)
    for folder, own in by_folder.items():
        parts: dict[str, list[CodeBlock]] = {}
        new: set[int] = set()
        for block in own:
            name = block.name.removeprefix(folder) if belongs(block) else f"{_EXAMPLE}{len(new)}.rs"
            before = parts.get(name, [])
            if {item for one in before for item in _ITEM.findall(one.code)} & {*_ITEM.findall(block.code)}:
                found.append((Package(project, folder, parts, code), new))
                parts, new, before = {n: own for n, own in parts.items() if not n.startswith(_EXAMPLE)}, set(), []
            parts = {**parts, name: [*before, block]}
            new.add(id(block))
        found.append((Package(project, folder, parts, code), new))
    return found


def _imported(files: Mapping[str, Sequence[CodeBlock]], crates: set[str]) -> str:
    """The name by which the other files of a package import its library, "" if none does."""
    known = {"std", "core", "alloc", "crate", "self", "super", *(name.replace("-", "_") for name in crates)}
    for name, blocks in files.items():
        if not name.startswith(("src/lib", "build", _EXAMPLE)):
            for used in re.findall(r"(?m)^\s*use\s+(?:::)?(\w+)::", "\n".join(block.code for block in blocks)):
                if used not in known:
                    return str(used)
    return ""


MOST_CHARACTERS = 16_000
"""A longer manifest is not read: its parser has no time limit."""


def _loaded(manifest: str) -> tuple[Mapping[str, Any], list[CodeError]]:
    """What a manifest says, and why it cannot be read."""
    if len(manifest) > MOST_CHARACTERS:
        return {}, [CodeError(0, f"it is longer than {MOST_CHARACTERS:,} characters")]
    try:
        return tomllib.loads(manifest), []
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        place = re.search(r"line (\d+)", str(error))
        return {}, [CodeError(int(place[1]) - 1 if place else 0, str(error))]


def _table(data: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """A table of a manifest, an empty one for whatever else a model wrote in its place."""
    found = data.get(name)
    return found if isinstance(found, dict) else {}


def _merge(merged: dict[str, Any], more: Mapping[str, Any]) -> None:
    for key, value in more.items():
        if isinstance(value, dict) and isinstance(merged.get(key), dict):
            _merge(merged[key], value)
        else:
            merged[key] = value


# --- all blocks of a chapter ------------------------------------------------------------------------------------

MOST_KEPT = 20_000
"""Verdicts in the cache; of more, the oldest go."""


class Judged(NamedTuple):
    """A block and its verdict; ``in_package`` where it was judged with files of other sections."""

    block: CodeBlock
    verdict: Verdict
    in_package: bool = False

    @property
    def failed(self) -> bool:
        """Whether it was refused."""
        return self.verdict.state == "failed"

    @property
    def lines(self) -> range:
        """The lines of the block in its section's text, from 1, without its fences."""
        return range(self.block.line + 1, self.block.line + self.block.rows + 1)

    @property
    def words(self) -> set[str]:
        """The names in the errors, and in the lines that have them."""
        rows = dict(enumerate(self.block.code.splitlines()))
        return {*re.findall(r"\w+", " ".join(f"{e.message} {rows.get(e.line, '')}" for e in self.verdict.errors))}

    @property
    def finding(self) -> Finding:
        """The finding for a block that was refused: every error with its line in the block."""
        said = "; ".join(f"line {e.line + 1}: {excerpt(e.message, 300)}" for e in self.verdict.errors)
        name = f" {self.block.name}" if self.block.name else ""
        line = min(self.lines.start + self.verdict.errors[0].line, max(self.lines, default=self.lines.start))
        return finding(
            "failed-code", self.block.section, line, f"the {self.block.language} block{name} is refused: {said}"
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class ChapterVerdicts:
    """The blocks of a chapter in order, with their verdicts."""

    judged: tuple[Judged, ...] = ()

    def counts(self, section: int) -> CodeCounts:
        """The figures of a section."""
        states = Counter(one.verdict.state for one in self.judged if one.block.section == section)
        return CodeCounts(states.total(), states["passed"] + states["failed"], states["failed"], states["unchecked"])

    def refused(self, section: int, *, package: bool = False) -> frozenset[int]:
        """The lines of a section, from 1, on which refused blocks begin; those of the chapter's ``package`` alone."""
        own = (one for one in self.judged if one.block.section == section and one.failed)
        return frozenset(one.block.line for one in own if one.in_package or not package)

    def over(self, section: int, findings: Iterable[Finding]) -> tuple[Finding, ...]:
        """The findings of a section with those of its code: where a toolchain has judged, a guess is worth nothing."""
        own = [one for one in self.judged if one.block.section == section and one.verdict.state != "unchecked"]
        lines = {line for one in own for line in one.lines}
        kept = [one for one in findings if one.kind != "broken-code" or one.line not in lines]
        return (*kept, *(one.finding for one in own if one.failed))

    def unchecked(self) -> tuple[Finding, ...]:
        """One note on all that could not be judged, and why."""
        reasons = Counter(one.verdict.why for one in self.judged if one.verdict.state == "unchecked")
        if not reasons:
            return ()
        said = "; ".join(f"{why} ({count})" if count > 1 else why for why, count in reasons.most_common())
        without = "; there is no sandbox here (bwrap or unshare), so nothing was executed" * (not sandbox.kind_here())
        blocks = "1 code block is" if reasons.total() == 1 else f"{reasons.total():,} code blocks are"
        return (finding("unchecked-code", 0, 1, f"{blocks} unchecked: {said}{without}"),)


@dataclass(frozen=True, kw_only=True)
class CodeCheck:
    """How the code of a chapter is judged. ``own`` are commands of the settings by language, ``run`` has programs run,
    ``kept`` is the file of the verdicts, ``project`` names edition and crates, ``include`` gives the text of a file
    that a block includes, and ``files`` are by section what ``code_blocks`` takes."""

    kept: Path
    project: Project = field(default_factory=Project)
    own: Mapping[str, str] = field(default_factory=dict)
    run: bool = False
    include: Callable[[str], str | None] | None = None
    files: Mapping[int, Mapping[str, Sequence[str]]] = field(default_factory=dict)

    def judge(self, texts: Mapping[int, str], *, known_only: bool = False) -> ChapterVerdicts:
        """Judge the blocks of a chapter's sections, given by number; with ``known_only`` no toolchain is started."""
        found = [
            block
            for number, text in texts.items()
            for block in code_blocks(text, section=number, include=self.include, files=self.files.get(number, {}))
        ]
        manifests = "\n".join(block.code for block in found if block.name.endswith("Cargo.toml"))
        stated = re.search(r'(?m)^edition\s*=\s*"(\d{4})"', manifests)
        edition = self.project.edition or (stated[1] if stated else "2021")
        found = [block if block.edition else replace(block, edition=edition) for block in found]
        known, fresh = _read(self.kept), dict[str, Verdict]()
        judges = {**checkers.CHECKERS, **checkers.own_checkers(self.own)}
        files = [block for block in found if belongs(block)]
        alone = [block for block in found if not belongs(block)]

        def verdicts(keys: Sequence[str], judge: Callable[[], Sequence[Verdict]]) -> Sequence[Verdict]:
            if known.keys() >= {*keys}:
                judged: Sequence[Verdict] = [known[key] for key in keys]
            else:
                judged = [unchecked("it was not judged yet")] * len(keys) if known_only else judge()
            fresh.update(zip(keys, judged, strict=True))
            return judged

        def judge_alone(block: CodeBlock) -> Verdict:
            checker = judges.get(block.language)
            if block.skip or checker is None:
                return unchecked(block.skip or f"no checker for {block.language}")
            key, files, above = self._basis(block, checker, found)
            return verdicts([key], lambda: [checkers.check_block(checker, block, files, above, run=self.run)])[0]

        with ThreadPoolExecutor(os.cpu_count() or 1) as workers:
            of_block = dict(zip(map(id, alone), workers.map(judge_alone, alone), strict=True))
        project = replace(self.project, edition=edition)
        names = {package.name for package, _ in states(project, files)}
        crates = {*names, *(name.replace("-", "_") for name in project.crates)}
        members = [b for b in found if belongs(b) or checkers.missing_crate(of_block[id(b)]) in crates]
        code = "\n".join(block.code for block in found if block.language == "rust")
        for package, new in states(project, members, code):
            judged = verdicts([f"{package.key}:{number}" for number in range(len(package.blocks))], package.judge)
            of_block |= {id(b): verdict for b, verdict in zip(package.blocks, judged, strict=True) if id(b) in new}
        lasting = {key: verdict for key, verdict in fresh.items() if verdict.lasting}
        if lasting.keys() - known.keys():
            latest = dict([*{**known, **lasting}.items()][-MOST_KEPT:])
            with suppress(InputError):  # a full disk is no reason to lose the verdicts of this run
                write_atomically(self.kept, json.dumps(latest), durable=False, private=True)
        # A part of a Python file may need what another section defines, as a package's file may.
        own = {id(block) for block in (*members, *(one for one in found if one.language == "python" and one.name))}
        return ChapterVerdicts(judged=tuple(Judged(one, of_block[id(one)], id(one) in own) for one in found))

    def _basis(
        self, block: CodeBlock, checker: Checker, every: Sequence[CodeBlock]
    ) -> tuple[str, Mapping[str, str], Sequence[str]]:
        """The hash of all that the verdict on a block follows from; named files that it may use, and code above it."""
        files = {one.name: one.code for one in every if one.name and one.language in checker.beside}
        at = (block.section, block.line)
        before = [one for one in every if one.language == block.language == "python" and (one.section, one.line) < at]
        above = [one.code for one in before if one.section == block.section or (one.name and one.name == block.name)]
        tools = [(str(one), one.stat().st_size, one.stat().st_mtime_ns) for one in checkers.programs_of(checker)]
        words = (block.language, block.whole, block.lines_above, sorted(block.flags), block.edition)
        judged_with = (checker.command, tools, sorted(files.items()), above, self.run)
        return hashlib.sha256(repr((words, judged_with)).encode("utf-8", "replace")).hexdigest(), files, above


def _read(path: Path) -> dict[str, Verdict]:
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        return {
            key: Verdict(state, tuple(CodeError(int(line), str(said)) for line, said in errors), str(why))
            for key, (state, errors, why, _) in kept.items()
        }
    except (OSError, ValueError, TypeError, AttributeError, RecursionError):
        return {}  # it is derived: what cannot be read is judged again
