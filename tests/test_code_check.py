"""Code blocks judged by their toolchains: what is refused, what is let pass, what nothing here can judge."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import Any

import pytest
from workspaces import expand, small

from expand.code_check import checkers, sandbox
from expand.code_check.chapter_code import ChapterVerdicts, CodeCheck
from expand.code_check.checkers import code_blocks

needs_rust = pytest.mark.skipif(not shutil.which("rustc"), reason="rustc is not on the PATH")
needs_sandbox = pytest.mark.skipif(not sandbox.kind_here(), reason="nothing here can contain a command")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return small(tmp_path)


def drafted(place: Path, *blocks: str) -> None:
    """Put a draft in place whose first section has these blocks."""
    (place / "drafts").mkdir(exist_ok=True)
    text = "\n\n".join(
        ("# Signals and pipes", "## 1. Signal handling", *blocks, "## 2. Named pipes", "## 3. Checklist")
    )
    (place / "drafts/07.md").write_text(text + "\n")


def fence(code: str, info: str = "rust") -> str:
    return f"```{info}\n{code}\n```"


def reviewed(place: Path, *blocks: str) -> tuple[dict[str, Any], list[dict[str, Any]], list[dict[str, Any]]]:
    """What ``review --code --json`` says of the section: its counts, refused blocks, and the note on the others."""
    drafted(place, *blocks)
    (chapter,) = expand(place, "review", "07", "--code", "--json").json["chapters"]
    section = chapter["sections"][0]
    refused = [finding for finding in section["findings"] if finding["kind"] == "failed-code"]
    return section["code"], refused, [f for f in chapter["findings"] if f["kind"] == "unchecked-code"]


def judged(tmp_path: Path, *blocks: str, **options: Any) -> ChapterVerdicts:
    return CodeCheck(kept=tmp_path / "verdicts.json", **options).judge({1: "\n\n".join(blocks)})


def states(verdicts: ChapterVerdicts) -> list[str]:
    return [one.verdict.state for one in verdicts.judged]


def words(verdicts: ChapterVerdicts, number: int = 0) -> str:
    verdict = verdicts.judged[number].verdict
    return verdict.why or "; ".join(f"{error.line}: {error.message}" for error in verdict.errors)


def test_a_review_without_code_says_nothing_of_it(place: Path) -> None:
    drafted(place, fence("x", "python"))
    (chapter,) = expand(place, "review", "07", "--json").json["chapters"]
    assert [section["code"] for section in chapter["sections"]] == [None] * 3
    assert not {"failed-code", "unchecked-code"} & {finding["kind"] for finding in chapter["sections"][0]["findings"]}


@needs_sandbox
def test_each_refused_block_is_named_with_the_line_and_the_words_of_its_checker(place: Path) -> None:
    counts, refused, notes = reviewed(
        place,
        fence("import os\n\n\ndef size(path):\n    return os.stat(pth).st_size", "python"),
        fence("if true; then\n  echo yes", "bash"),
        fence('{"a": 1,}', "json"),
        fence("a = 1\na = 2", "toml"),
        fence("print(1)", "lua"),
        fence("no code", "text"),
        fence("print(1)", "python"),
    )
    assert counts == {"blocks": 6, "checked": 5, "failed": 4, "unchecked": 1}
    assert [finding["line"] for finding in refused] == [8, 13, 17, 22]
    assert [finding["severity"] for finding in refused] == ["warning"] * 4
    assert "line 5: undefined name 'pth'" in refused[0]["message"]
    assert "unexpected end of file" in refused[1]["message"]
    assert notes[0]["message"] == "1 code block is unchecked: no checker for lua"
    assert notes[0]["severity"] == "note"


@needs_sandbox
def test_a_toolchain_overrules_the_parser(place: Path) -> None:
    drafted(place, fence("def f():\n    return (1", "python"))
    kinds = [
        [
            finding["kind"]
            for finding in expand(place, "review", "07", "--json", *code).json["chapters"][0]["sections"][0]["findings"]
        ]
        for code in ([], ["--code"])
    ]
    assert "broken-code" in kinds[0]
    assert "broken-code" not in kinds[1]
    assert "failed-code" in kinds[1]


def test_without_any_toolchain_blocks_are_unchecked_and_it_is_said_once(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocks = [fence("fn main() { let x: u8 = 256 }"), fence("int main() { return x; }", "c"), fence("if", "bash")] * 2
    drafted(place, *blocks)
    without = expand(place, "review", "07")
    monkeypatch.setenv("PATH", str(place))
    ran = expand(place, "review", "07", "--code")
    assert ran.code == without.code
    assert ran.out.count("rustc is not on the PATH") == 1
    assert "6 code blocks are unchecked" in ran.out
    assert "there is no sandbox here" in ran.out
    counts, refused, _ = reviewed(place, *blocks)
    assert counts == {"blocks": 6, "checked": 0, "failed": 0, "unchecked": 6}
    assert not refused


@needs_rust
@pytest.mark.parametrize(
    ("block", "state", "said"),
    [
        ("fn main() { let m: HashMap<u8, u8> = HashMap::new(); }", "failed", "cannot find type `HashMap`"),
        ('let x: i32 = "a";', "failed", "mismatched types"),
        ("let n = vec![1].froblicate();", "failed", "no method named `froblicate`"),
        ("fn main() { fs::read(\"a\").unwrap(); }", "failed", "`fs`"),
        ("use std::os::windows::io::AsRawHandle;", "failed", "could not find `windows` in `os`"),
        ("#[cfg(windows)]\nuse std::os::windows::io::AsRawHandle;", "passed", ""),
        ("let data = std::fs::read(\"a\")?;\nprintln!(\"{}\", data.len());", "passed", ""),
        ("let n: u8 = \"1\".parse()?;\nOk(())", "passed", ""),
        ("#[test]\nfn one() { assert_eq!(two(), 2) }", "failed", "cannot find function `two`"),
        ("use tokio::net::TcpStream;\n#[tokio::main]\nasync fn main() {}", "unchecked", "tokio is not installed here"),
        ("macro_rules! make { () => { fn a() {} } }\nmake!();\nmod m { fn f() { super::a() } }", "passed", ""),
        ("fn f() -> u8 {\n    // --snip--\n}", "unchecked", "left something out"),
        ("fn f() { ... }", "unchecked", "left something out"),
        ("# use std::fs;\nfn main() { fs::read(\"a\").unwrap(); }", "passed", ""),
    ],
)  # fmt: skip
def test_rust_is_judged_as_rustdoc_reads_it(tmp_path: Path, block: str, state: str, said: str) -> None:
    verdicts = judged(tmp_path, fence(block))
    assert states(verdicts) == [state]
    assert said in words(verdicts)


@needs_rust
def test_annotations_of_rust_blocks(tmp_path: Path) -> None:
    moved = "let a = String::new();\ndrop(a);\ndrop(a);"
    verdicts = judged(
        tmp_path,
        fence("let a = ;", "rust,ignore"),
        fence("loop {}", "rust,no_run"),
        fence(moved, "rust,compile_fail"),
        fence(moved, "rust,compile_fail,E0382"),
        fence(moved, "rust,compile_fail,E0499"),
        fence("let a = 1;", "rust,compile_fail"),
        fence("let gen = 1;", "rust,edition2024"),
        fence("let gen = 1;", "rust,edition2021"),
        fence("fn one() -> u8 { 1 }"),
        fence("// continues the block above\nfn two() -> u8 { one() + 1 }"),
        fence("fn three() -> u8 { two() + 1 }"),
        fence("fn four() -> u8 { two() }\nfn five() -> u8 { six() }", "rust,continues"),
    )
    assert " ".join(states(verdicts)) == (
        "unchecked passed passed passed failed failed failed passed passed passed failed failed"
    )
    assert words(verdicts, 4).startswith("0: it is marked compile_fail,E0499 and fails with")
    assert words(verdicts, 5) == "0: it is marked compile_fail, and compiles"
    assert [error.line for error in verdicts.judged[11].verdict.errors] == [0, 1]


@needs_sandbox
@pytest.mark.parametrize(
    ("language", "program", "good", "bad", "part", "missing"),
    [
        ("c", "gcc", "#include <stdio.h>\nint main(void) { return 0; }", "int main(void) { return x; }",
         'int n = 1; n++;', "#include <zzz.h>"),
        ("cpp", "g++", "#include <vector>\nint main() { std::vector<int> v; }", "int main() { return x; }",
         "auto n = 1; n++;", "#include <zzz.hpp>"),
        ("java", "javac", "public class A { int n; }", "class A { B b; }", "int n = 1; n++;",
         "import org.zzz.Q; class A { }"),
        ("js", "node", "import a from 'a';\nawait a();", "const a = ;", "const a = 1;", ""),
        ("ts", "tsc", "const a: number = 1;\nexport { a };", "const a: number = 'x';", "let a = 1;",
         "import * as q from 'zzz';"),
        ("go", "gofmt", "package a\n\nfunc f() {}", "package a\n\nfunc f( {}", "x := 1\nx++", ""),
        ("sql", "sqlfluff", "SELECT a FROM t WHERE b = $1;", "SELECT FROM WHERE;", "PRAGMA journal_mode = WAL;", ""),
        ("dockerfile", "hadolint", "FROM debian:12\nCOPY a b", "FROM debian:12\nCOPI a b", "RUN cd /x", ""),
        ("bash", "shellcheck", "echo $x", "[ $a == b ] && exit 'a' 'b'", "x=$(cat a)", ""),
    ],
)  # fmt: skip
def test_other_languages(
    tmp_path: Path, language: str, program: str, good: str, bad: str, part: str, missing: str
) -> None:
    if not shutil.which(program):
        pytest.skip(f"{program} is not on the PATH")
    texts = [text for text in (good, part, bad, missing) if text]
    verdicts = judged(tmp_path, *(fence(text, language) for text in texts))
    assert states(verdicts) == ["passed", "passed", "failed", "unchecked"][: len(texts)]


def test_python_that_is_to_fail_has_to(tmp_path: Path) -> None:
    verdicts = judged(
        tmp_path,
        fence("def f(:", "python,compile_fail"),
        fence("x", "python,compile_fail"),
        fence("x = 1", "python,compile_fail"),
    )
    assert states(verdicts) == ["passed", "passed", "failed"]


@needs_sandbox
def test_python_knows_what_the_blocks_above_it_bind(tmp_path: Path) -> None:
    verdicts = judged(
        tmp_path,
        fence("import os as system\n\nlimit = 1", "python"),
        fence("print(limit, system.sep)", "python"),
        fence(">>> print(limit)\n1\n>>> lmit\n", "python"),
        fence("%matplotlib inline\nprint(limit)", "python"),
        fence("def f(:\n    pass", "python"),
        fence('print("%d of 2"\n    % limit)', "python"),
        fence("-" * 100_000 + "1", "python"),
        fence("print(limit)", "python"),
    )
    assert states(verdicts) == ["passed", "passed", "failed", "passed", "failed", "passed", "unchecked", "passed"]
    assert words(verdicts, 2) == "2: undefined name 'lmit'"


NESTED = "".join(f"{' ' * depth}try: pass\n{' ' * depth}finally:\n" for depth in range(20)) + " " * 20 + "pass"
"""Python compiles what is behind ``finally`` twice, and what that takes doubles at each level."""
TOO_LONG = ("failed", "0: it ran for more than 2 seconds")


@pytest.mark.parametrize(
    ("language", "slow", "ends"),
    [
        ("toml", "a." * 100_000, [TOO_LONG]),
        ("python", NESTED, [TOO_LONG, ("unchecked", "python: it is nested too deeply")]),  # by what it reaches first
    ],
)
def test_a_block_that_takes_too_long_or_too_much_memory_holds_nothing_up(
    language: str, slow: str, ends: list[tuple[str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkers, "SECONDS", 2.0)
    began = time.monotonic()
    verdicts = judged(tmp_path, fence(slow, language), fence("a = 1", language))
    assert time.monotonic() - began < 15
    slow_state, good_state = states(verdicts)
    assert (slow_state, words(verdicts)) in ends
    assert good_state == "passed"


@needs_sandbox
def test_a_part_of_a_python_file_knows_its_parts_in_sections_before(tmp_path: Path) -> None:
    first, other = fence("LIMIT = 1", 'python title="app.py"'), fence("REST = 2", "python")
    second = [fence(f"print({name})", 'python title="app.py"') for name in ("LIMIT", "REST")]
    elsewhere = fence("print(LIMIT)", 'python title="b.py"')
    texts = {1: f"{first}\n\n{other}", 2: "\n\n".join([*second, elsewhere])}
    verdicts = CodeCheck(kept=tmp_path / "verdicts.json").judge(texts)
    assert states(verdicts) == ["passed", "passed", "passed", "failed", "failed"]
    assert [one.in_package for one in verdicts.judged] == [True, False, True, True, True]
    alone = CodeCheck(kept=tmp_path / "verdicts.json").judge({2: second[0]})
    assert states(alone) == ["failed"]  # so it is repaired once the other sections are there


@needs_sandbox
def test_the_settings_add_and_replace_checkers(place: Path) -> None:
    with (place / "expand.toml").open("a") as file:
        file.write('\n[code.checkers]\nsql = "grep -q SELECT"\nbash = "sh -c \'echo {file}:2: never; exit 1\'"\n')
    counts, refused, _ = reviewed(place, fence("SELECT 1", "sql"), fence("DROP", "sql"), fence("true\ntrue", "bash"))
    assert counts == {"blocks": 3, "checked": 3, "failed": 2, "unchecked": 0}
    assert [finding["message"].partition("refused: ")[2] for finding in refused] == [
        "line 1: exit status 1",
        "line 2: never",
    ]


def test_names_and_includes_are_read_as_the_field_writes_them() -> None:
    blocks = code_blocks(
        "\n\n".join(
            [
                fence("pub fn a() {}", 'rust title="src/lib.rs"'),
                fence("fn main() {}", "rust:src/bin/tool.rs"),
                fence("import os", '{.python filename="app/main.py"}'),
                fence("# Cargo.toml\n[package]", "toml"),
                fence("// File: src/main.rs\nfn main() {}"),
                fence("# 文件：app/run.sh", "bash"),
                fence("// ../../etc/x.rs\nfn main() {}"),
                fence("{{#include part.rs:2:3}}\nfn more() {}"),
                fence("{{#rustdoc_include part.rs:here}}"),
                fence("{{#include gone.rs}}"),
                fence("const x = 1;", "js {1,3-4}"),
                fence("{{#include part.rs:2:3}}"),
                fence('--8<-- "part.rs:here"', "rust"),
                fence("<<< @/part.rs#here{2}", "rust"),
                fence("use a::<<< b", "rust"),
            ]
        ),
        section=1,
        include={"part.rs": "1\n2\n3\n// ANCHOR: here\n4\n// ANCHOR_END: here\n5"}.get,
    )
    assert [block.name for block in blocks[:7]] == [
        "src/lib.rs", "src/bin/tool.rs", "app/main.py", "Cargo.toml", "src/main.rs", "app/run.sh", "",
    ]  # fmt: skip
    assert blocks[8].code == "1\n2\n3\n// ANCHOR: here\n4\n// ANCHOR_END: here\n5\n"
    assert [block.skip for block in blocks[7:9]] == ["it shows a part of part.rs", ""]
    assert blocks[9].skip == "it includes gone.rs, which is not there"
    assert blocks[10].name == ""
    assert [block.code for block in blocks[11:14]] == [blocks[8].code] * 3
    assert not any(block.skip for block in blocks[11:])


@needs_sandbox
def test_verdicts_are_kept_until_block_or_checker_change(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blocks = [fence(f"print({number})", "python") for number in range(3)]
    first = reviewed(place, *blocks)
    monkeypatch.setattr(sandbox, "run", None)
    assert reviewed(place, *blocks) == first
    monkeypatch.undo()
    counts, refused, _ = reviewed(place, *blocks[:2], fence("print(nine)", "python"))
    assert counts == {"blocks": 3, "checked": 3, "failed": 1, "unchecked": 0}
    assert len(refused) == 1
    (place / ".expand/code/verdicts.json").write_text("[1]")
    assert reviewed(place, *blocks) == first


@needs_rust
@needs_sandbox
def test_programs_are_run_only_where_the_settings_say_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret-key")
    blocks = [
        fence('panic!("no");'),
        fence('panic!("no");', "rust,should_panic"),
        fence("let a = 1;", "rust,should_panic"),
        fence('panic!("no");', "rust,no_run"),
        fence("pub fn only() {}"),
        fence("#[test]\nfn one() { assert_eq!(1, 2) }"),
        fence('import os\nassert not [key for key in os.environ if "KEY" in key]', "python"),
        fence("open('/usr/x', 'w')", "python"),
        fence('loop { println!("{}", "x".repeat(1000)); }'),
    ]
    assert set(states(judged(tmp_path, *blocks))) == {"passed"}
    ran = judged(tmp_path, *blocks, run=True)
    assert " ".join(states(ran)) == "failed passed failed passed passed failed passed failed failed"
    assert words(ran, 0).startswith("0: run: ")
    assert words(ran, 2) == "0: run: it is marked should_panic, and ends well"
    assert "Read-only file system" in words(ran, 7)
    assert words(ran, 8) == "0: run: it printed more than 1,000,000 bytes"
