"""Read the code blocks of a text with what their authors say of them, and judge one by the toolchain of its language.

What is read is what rustdoc, mdBook, MkDocs, Docusaurus and VitePress write in info strings, hidden lines, comments:
``rust,no_run``, ``rust:src/lib.rs``, ``{.python title="a.py"}``, ``// src/lib.rs``, ``# `` before a line that rustdoc
hides.

A command gets the block as a file in a folder of its own, with the named files of its chapter beside it. A line
``FILE:LINE: message`` of the block's file that is no warning is an error. A block that a command refuses may also be
one that nothing can judge: it needs a package that is not here, or its author left something out.
"""

import os
import re
import shlex
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType
from typing import Literal, NamedTuple

from expand.code_check import own_parsers, sandbox
from expand.code_check.sandbox import Outcome
from expand.markdown import blocks, matching
from expand.markdown.code import is_programming, language_named, python_session, rust_shown
from expand.paths import packaged_table

FLAGS = frozenset(("ignore", "no_run", "should_panic", "compile_fail"))
_PLATFORMS = {"linux": ("linux", "unix"), "darwin": ("macos", "apple", "unix"), "win32": ("windows",)}
_PATH = r"(?:[\w.@-]+/)*[\w.@-]+\.[A-Za-z][\w+]{0,9}|(?:[\w.@-]+/)*(?:Dockerfile|Makefile)"
_NAMED = re.compile(rf"""(?x)
    (?:^|[\s,{{;:])(?:(?:title|file|filename|name|path|src)\s*[=:]\s*)?["']?(?P<path>(?:{_PATH}))["']?(?=$|[\s,}};])""")
_COMMENT = re.compile(r"\s*(?://[/!]?|\#|--|/\*|<!--|;|%)\s*(?P<said>.*?)\s*(?:\*/|-->)?\s*$")
_COMMENTED_PATH = re.compile(rf"(?i)(?:(?:file|filename|path|文件|文件名)\s*[:：]\s*)?`?(?P<path>{_PATH})`?")
_SHOWN = re.compile(rf"`?(?P<path>{_PATH})`?(?=\s*[-:：–—]|$)")
_CONTINUES = matching.phrase("continues-the-block")
_INCLUDE = re.compile(
    r"(?m)^[ \t]*(?:\{\{\s*#?(?P<whole>rustdoc_)?include\s+(?P<mdbook>[^\s}]+)\s*\}\}"
    r"|(?:-{1,2}8<-{1,2}|<<<)\s+[\"']?(?:@/)?(?P<other>[^\s\"'{]+)).*$"
)
_ELISION = re.compile(r"(?m)^[ \t]*(?:\.{3}|…+|⋯)[ \t]*;?[ \t]*$|[({\[]\s*(?:\.{3}|…)\s*[)}\]]"
                     r"|^[ \t]*(?://|#|/\*)[ \t]*(?:-+ *snip *-+|\.{3}|…)")  # fmt: skip
"""Where an author has left something out, and says so: code that a compiler refuses may then be right."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CodeBlock:
    """A block of code. ``line`` is that of its fence in the section's text, from 1, and ``rows`` counts the lines that
    stand there; ``code`` is what a compiler is
    given: with hidden lines and included files. ``above`` is the code that it goes on from, and ``name`` its file, ""
    for none. ``skip`` says why nothing is to judge it, "" where something is."""

    section: int
    line: int
    rows: int
    language: str
    code: str
    name: str = ""
    flags: frozenset[str] = frozenset()
    edition: str = ""
    above: str = ""
    skip: str = ""

    @property
    def whole(self) -> str:
        """The code after that which it goes on from."""
        return self.above + self.code

    @property
    def lines_above(self) -> int:
        """The lines of ``whole`` that are another block's."""
        return self.above.count("\n")


def files_named(examples: Iterable[str]) -> tuple[str, ...]:
    """The files that a brief's words on a topic's examples begin with, such as ``src/lib.rs - the parser``."""
    return tuple(found["path"] for shown in examples if (found := _SHOWN.match(shown)))


def code_blocks(
    text: str,
    *,
    section: int,
    include: Callable[[str], str | None] | None = None,
    files: Mapping[str, Sequence[str]] = MappingProxyType({}),
) -> tuple[CodeBlock, ...]:
    """The code blocks of a section's text, in order. ``include`` gives the text of a file that a block includes, None
    where there is none. ``files`` are those that the brief wants, by the key of each topic's title: blocks of their
    language that name none themselves are these, in order."""
    headings = [(block.start, matching.title_key(block.title)) for block in blocks.headings(text)] if files else []
    wanted = {key: [*paths] for key, paths in files.items()}
    here = (*_PLATFORMS.get(sys.platform, ()), "x86_64", "64bit")
    ignored = {"ignore", *(f"ignore-{platform}" for platform in here)}  # rustdoc's words, also for a platform
    found: list[CodeBlock] = []
    last: dict[str, CodeBlock] = {}
    for fence in blocks.fences(text):
        if not is_programming(fence.language):
            continue
        language = language_named(fence.language)
        topic = next((key for start, key in reversed(headings) if start < fence.start and key in wanted), "")
        words = re.split(r"[\s,{}]+", fence.info)
        flags = {word.lower() for word in words}
        code, missing = _included(fence.code, include)
        first = next((row for row in code.splitlines() if row.strip() and not row.startswith("#!")), "")
        head = comment["said"] if (comment := _COMMENT.match(first)) else ""
        above = last.get(language) if {"continue", "continues", "continued"} & flags or _CONTINUES.match(head) else None
        block = CodeBlock(
            section=section,
            line=fence.start + 1,
            rows=fence.code.count("\n"),
            language=language,
            code=rust_shown(code) if language == "rust" else code,
            name=_name(fence.info, head) or _next_file(wanted.get(topic, []), language),
            flags=frozenset(flags & FLAGS | {word for word in words if re.fullmatch(r"E\d{4}", word)}),
            edition=next((word[7:] for word in flags if re.fullmatch(r"edition20\d\d", word)), ""),
            above=above.whole.rstrip("\n") + "\n" if above else "",
            skip="marked ignore" if flags & ignored else missing,
        )
        found.append(block)
        last[language] = block
    return tuple(found)


def _name(info: str, head: str) -> str:
    """The file that a block is said to be: a path below the folder that its readers have, never one out of it."""
    _, _, rest = info.lstrip("{. ").partition(re.split(r"[\s,:}]", info.lstrip("{. "))[0])
    found = _NAMED.search(rest) or _COMMENTED_PATH.fullmatch(head)
    path = found["path"] if found else ""
    return "" if any(part.startswith(".") for part in path.split("/")) else path


def _next_file(paths: list[str], language: str) -> str:
    """Take the first of the files that is in a language, "" where none is."""
    of_language = (path for path in paths if language_named(path.rpartition(".")[2]) == language)
    if path := next(of_language, ""):
        paths.remove(path)
    return path


def _included(code: str, include: Callable[[str], str | None] | None) -> tuple[str, str]:
    """The code with the files that it includes, and why one of them could not be had, "" where all could."""
    missing = ""

    def text(found: re.Match[str]) -> str:
        nonlocal missing
        path, _, part = (found["mdbook"] or found["other"]).replace("#", ":").partition(":")
        read = include(path) if include else None
        if read is None:
            missing = f"it includes {path}, which is not there"
            return ""
        # rustdoc_include shows a part and compiles the file; so is a part that is all of its block.
        if found["whole"] or not part or found[0].strip() == code.strip():
            return read.rstrip("\n")
        missing = f"it shows a part of {path}"
        return ""

    return _INCLUDE.sub(text, code), missing


# --- the table of languages: which command judges a block, what it is given, and how what it prints is read --------

SECONDS = 30.0
"""How long a command may take for a block."""
RUN_SECONDS = 10.0
NO_PROGRAM = 42
NOT_FOUND = (126, 127)
"""The exit statuses of ``env`` and shells for a command that cannot be executed or is not there."""
MOST_ERRORS = 5
"""So many errors of a block are kept: the first ones cause the others."""


class CodeError(NamedTuple):
    """One error: the line of the block's code, from 0, and the compiler's words."""

    line: int
    message: str


class Verdict(NamedTuple):
    """What became of a block. ``why`` says why it is unchecked, and ``lasting`` that the same block would be again."""

    state: Literal["passed", "failed", "unchecked"]
    errors: tuple[CodeError, ...] = ()
    why: str = ""
    lasting: bool = True


PASSED = Verdict("passed")


def unchecked(why: str, *, lasting: bool = False) -> Verdict:
    """The verdict for a block that nothing here can judge."""
    return Verdict("unchecked", why=why, lasting=lasting)


@dataclass(frozen=True, kw_only=True, slots=True)
class Checker:
    """How blocks of a language are judged: by ``command``, whose words in braces ``check_block`` fills in.

    ``file`` names the block's file, ``prepare`` makes its text; named blocks in one of the languages ``beside`` lie in
    the same folder. ``missing`` finds in a message what is not installed here. Where a block has no match of ``whole``,
    it is a part, and is tried in each of ``around`` too. What passes is given to ``also``, where its program is here.
    ``program`` is what has to be here where a shell is the command. ``run`` is a line of shell that runs a block that
    compiles; it ends with ``NO_PROGRAM`` where nothing can be made to run."""

    command: str
    file: str = "block.txt"
    prepare: Callable[[str], str] = str
    missing: str = ""
    whole: str = ""
    around: Sequence[tuple[str, str]] = ()
    program: str = ""
    executes: bool = False
    beside: Sequence[str] = ()
    also: str = ""
    run: str = ""

    @property
    def programs(self) -> list[str]:
        """The names of the programs of ``command`` and ``also``."""
        first = self.program or shlex.split(self.command)[0]
        return [first, *shlex.split(self.also)[:1]]


def find_program(name: str) -> Path | None:
    """A program on the ``PATH``, with its links followed; those of Rust as ``_rust_program`` finds them, and for
    ``{python}`` the one that runs this."""
    if name == "{python}":
        return Path(sys.executable).resolve()
    if name in ("rustc", "cargo"):
        return _rust_program(name, os.environ.get("PATH"))
    found = shutil.which(name)
    return Path(found).resolve() if found else None


@lru_cache(maxsize=4)
def _rust_program(name: str, search_path: str | None) -> Path | None:
    """A program of the Rust toolchain itself, not rustup's, which would look for one in a home that is not there."""
    if not (shim := shutil.which("rustc", path=search_path)):
        return None
    asked = {**os.environ, "RUSTUP_AUTO_INSTALL": "0"}
    try:  # at the root, where no rust-toolchain.toml of somebody's folder counts
        printed = subprocess.check_output([shim, "--print", "sysroot"], cwd="/", env=asked, text=True, timeout=SECONDS)
    except (OSError, subprocess.SubprocessError):
        return None
    path = Path(printed.strip()) / "bin" / name
    return path if path.is_file() else None


_TABLE = packaged_table("checkers")
STD_MODULES = "|".join(_TABLE["std-modules"].split())


_ITEM = re.compile(
    r"(?:(?:pub\b(?:\([^)]*\))?|async|const|unsafe|extern|default)\s+)*(?:fn|struct|enum|union|impl|trait|use|mod|const|static"
    r"|type|extern|macro_rules|where)\b|[#/*)}\]]"
)
"""What begins a line at the margin where no statement does. What is wrongly taken for one is tried both ways."""


def rust_source(code: str) -> str:
    """A Rust block as a crate: statements go into a ``main``, on the lines that they are on."""
    rows = code.splitlines()
    begun = (row for row in textwrap.dedent(code).splitlines() if row[:1].strip())
    if re.search(r"\bfn\s+main\s*\(", code) or all(map(_ITEM.match, begun)):
        return code
    outer = [n for n, row in enumerate(rows) if re.match(r"\s*(?:#!\[|extern crate\b)", row)]
    at = outer[-1] + 1 if outer else 0
    last = next((row.strip() for row in reversed(rows) if row.strip()), "")
    error = "impl std::fmt::Debug" if last.startswith("Ok::<") else "Box<dyn std::error::Error>"
    result = f" -> Result<(), {error}>" if "?" in code or last.startswith("Ok") else ""
    # A main can be run; it cannot be async, nor return what has no name.
    name = "main" if ".await" not in code and "impl" not in result else "block"
    start = f"{'async ' if '.await' in code else ''}fn {name}(){result} {{ "
    end = "; Ok(()) }" if result and not last.startswith("Ok") else "}"
    return "\n".join([*rows[:at], start + "".join(rows[at : at + 1]), *rows[at + 1 :], end, ""])


def missing_crate(verdict: Verdict) -> str:
    """The crate for want of which a Rust block could not be judged, "" where that is not why."""
    found = re.fullmatch(r"rust: (\w+) is not installed here", verdict.why)
    return found[1] if found else ""


def rust_options(block: CodeBlock, code: str) -> str:
    """What rustc needs to know of a block."""
    tested = re.search(r"#\[(?:cfg\(test\)|test|bench)\b", code)
    kind = "bin" if re.search(r"(?m)^[^/\n]*fn main *[(]", code) else "lib"
    return f"--edition={block.edition or '2021'} {'--test' if tested else f'--crate-type={kind}'}"


def _shell(code: str) -> str:
    """What is typed in a shell block: of a session the lines after the prompt; ``<name>`` stands for a word."""
    if re.search(r"(?m)^\s*\$ ", code):
        code = "\n".join(row.lstrip()[2:] if row.lstrip().startswith("$ ") else "" for row in code.splitlines())
    return re.sub(r"<[A-Za-z][^<>\n|&;]{0,60}>", "__", code) + "\n"


_PREPARE: Mapping[str, Callable[[str], str]] = {
    "rust": rust_source,
    "python": python_session,
    "json": lambda code: re.sub(r"(?m)^\s*//.*$", "", code),
    "yaml": lambda code: re.sub(r"\{\{.*?\}\}|\{%.*?%\}", "__", code),
    "bash": _shell,
    "zsh": _shell,
}


def _own_parsers() -> tuple[Path, ...]:
    """The program that reads blocks by the tool's own parsers, and the folders of the packages that it needs."""
    packages = (find_spec(name) for name in ("pyflakes", "yaml"))
    folders = {Path(one.origin).resolve().parents[1] for one in packages if one and one.origin}
    return Path(own_parsers.__file__).resolve(), *folders


CHECKERS: Mapping[str, Checker] = {
    language: Checker(prepare=_PREPARE.get(language, str), **table) for language, table in _TABLE["checkers"].items()
}
"""Languages and who judges them, where the settings say nothing else."""


def own_checkers(commands: Mapping[str, str]) -> dict[str, Checker]:
    """Checkers from the settings: a command by language, with ``{file}`` in it or at its end. What it does with a block
    nobody knows, so it runs in the sandbox or not at all."""
    found = {}
    for language, command in commands.items():
        known = CHECKERS.get(language, Checker(command="", file=f"block.{language}"))
        whole = command if "{file}" in command else f"{command} {{file}}"
        found[language] = Checker(command=whole, file=known.file, prepare=known.prepare, executes=True)
    return found


def check_block(
    checker: Checker, block: CodeBlock, files: Mapping[str, str], above: Sequence[str], *, run: bool = False
) -> Verdict:
    """Judge one block by its language's command. ``files`` are the named files of the chapter that it may use,
    ``above`` the blocks of its language that stand before it in the section. ``run``: a program that compiles is run.
    """
    name = _file_name(checker, block)
    given = [checker.prepare(block.whole)]
    if block.language == "rust" and given[0] != block.whole:
        given.append(block.whole)  # `op!(a);` looks like a statement, and may make an item
    if checker.whole and not re.search(checker.whole, given[0]):
        given += [f"{before}{given[0]}\n{after}" for before, after in checker.around]
    programs = programs_of(checker)
    if not programs:
        return unchecked(f"{block.language}: {checker.programs[0]} is not on the PATH")

    own = _own_parsers()
    files = {**files, **{f"above/{number:06}": checker.prepare(code) for number, code in enumerate(above)}}

    def ran(program: Path, command: str, text: str, seconds: float, *, executes: bool) -> Outcome:
        values = {
            "{file}": name,
            "{own-parsers}": shlex.join(map(str, own)),
            "{options}": rust_options(block, text),
            "{program}": shlex.quote(str(program)),
        }
        words = shlex.split(re.sub(r"\{[\w-]+\}", lambda found: values.get(found[0], found[0]), command))
        readable, path = needs_of(program)
        return sandbox.run(
            words if words[0] == "/bin/sh" else [str(program), *words[1:]],
            {**files, name: text},
            readable=(*readable, *own),
            environment={"PATH": f"{path}:{sandbox.PROGRAMS}"},
            seconds=seconds,
            executes=executes,
        )

    first: Verdict | None = None
    for text in given:
        verdicts = (
            _read(checker, block, name, ran(program, command, text, SECONDS, executes=checker.executes))
            for program, command in zip(programs, (checker.command, checker.also), strict=False)
        )
        verdict = next((one for one in verdicts if one is not PASSED), PASSED)
        if verdict is PASSED and run and checker.run and not {"no_run", "compile_fail"} & block.flags:
            whole = "\n".join((*map(checker.prepare, above), text))
            return _of_run(block, ran(programs[0], f'/bin/sh -c "{checker.run}"', whole, RUN_SECONDS, executes=True))
        if verdict.state != "failed" or "compile_fail" in block.flags:
            return verdict
        first = first or verdict
    assert first is not None
    if _ELISION.search(block.code):
        return unchecked("its author left something out (...)", lasting=True)
    return first


def programs_of(checker: Checker) -> list[Path]:
    """The programs of a checker's commands as far as they are here, in order; none without the first."""
    first, *others = map(find_program, checker.programs)
    return [program for program in (first, *others) if program] if first else []


def _file_name(checker: Checker, block: CodeBlock) -> str:
    if block.language == "java" and (
        public := re.search(r"public\s+(?:\w+\s+)*(?:class|interface|enum|record)\s+(\w+)", block.code)
    ):
        return f"{public[1]}.java"
    if block.language == "javascript" and not re.search(r"(?m)^\s*(?:import|export)\b|\bawait\b", block.code):
        return "block.cjs"
    return checker.file


def needs_of(program: Path) -> tuple[tuple[Path, ...], str]:
    """What a program that is not the system's reads, and its search path: the folders that it and, of a script, its
    interpreter are installed in."""
    with program.open("rb") as file:
        line = file.readline(256)
    words = line[2:].decode("utf-8", "replace").split() if line.startswith(b"#!") else []
    interpreter = next((word for word in words if not word.endswith("/env") and not word.startswith("-")), "")
    found = [one for one in (program, find_program(interpreter)) if one]
    home = (Path.home(), *Path.home().parents)
    folders = [one if one.parent.parent in home else one.parent.parent for one in found]
    return tuple(folders), ":".join(str(one.parent) for one in found)


def _read(checker: Checker, block: CodeBlock, name: str, outcome: Outcome) -> Verdict:
    if outcome.status in (sandbox.NOT_RUN, *NOT_FOUND):
        return unchecked(f"{block.language}: {outcome.stopped or outcome.output.strip()}")
    if "compile_fail" in block.flags and not outcome.stopped:
        return _expected_failure(block, outcome)
    if not outcome.status and not outcome.stopped:
        return PASSED
    errors = list(errors_in(outcome.output, name))
    lacking = checker.missing.replace("«std-modules»", STD_MODULES)
    if lacking and (found := re.search(lacking, outcome.output)):
        what = next(word for word in found.groups() if word)
        return unchecked(f"{block.language}: {what} is not installed here", lasting=block.language == "rust")
    if outcome.stopped or not errors:
        printed = filter(None, map(str.strip, outcome.output.splitlines()))
        errors = [CodeError(0, outcome.stopped or next(printed, f"exit status {outcome.status}"))]
    inside = [error._replace(line=max(0, error.line - block.lines_above)) for error in errors]
    return Verdict("failed", tuple(sorted({*inside}))[:MOST_ERRORS])


def _of_run(block: CodeBlock, ran: Outcome) -> Verdict:
    panics = "should_panic" in block.flags
    if ran.status in (NO_PROGRAM, sandbox.NOT_RUN) or (not ran.stopped and bool(ran.status) == panics):
        return PASSED
    said = [row.strip() for row in ran.output.splitlines() if row.strip() and "RUST_BACKTRACE" not in row][-2:]
    why = ran.stopped or (" ".join(said) if ran.status else "it is marked should_panic, and ends well")
    return Verdict("failed", (CodeError(0, f"run: {why or f'exit status {ran.status}'}"),))


def _expected_failure(block: CodeBlock, outcome: Outcome) -> Verdict:
    codes = [flag for flag in block.flags if flag.startswith("E0")]
    if not outcome.status:
        return Verdict("failed", (CodeError(0, "it is marked compile_fail, and compiles"),))
    if codes and not any(code in outcome.output for code in codes):
        said = next((error.message for error in errors_in(outcome.output, "block.rs")), "another error")
        return Verdict("failed", (CodeError(0, f"it is marked compile_fail,{codes[0]} and fails with: {said}"),))
    return PASSED


def errors_in(output: str, name: str) -> Iterator[CodeError]:
    """The errors of a file in what a compiler prints: ``FILE:LINE:COLUMN: message``, ``FILE(LINE,COLUMN): …``, ``FILE:
    line LINE: …``; what node says some lines later, and the symbol that javac does not find."""
    place = re.compile(rf"(?:\S*/)?{re.escape(name)}(?:[:(]| *: line )(\d+)(?:[:,]\d+)?\)?:?\s*(.*)")
    rows = output.splitlines()
    for number, row in enumerate(rows):
        if not (found := place.match(row)):
            continue
        said = found[2]
        if re.match(r"(?:\w+\d )?(?:warning|note|info|style|help)\b", said):
            continue
        if not said:
            said = next((later for later in rows[number + 1 :] if re.match(r"\w*Error: ", later)), "")
        symbol = next((later for later in rows[number + 1 : number + 5] if re.match(r"\s+symbol:", later)), "")
        detail = f": {' '.join(symbol.split()[1:])}" if said.endswith("cannot find symbol") and symbol else ""
        yield CodeError(int(found[1]) - 1, re.sub(r"^(?:fatal )?error(?:: |(?=\[))", "", said) + detail)
