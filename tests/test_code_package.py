"""Named blocks of a chapter are one package, and blocks that use its crates are examples of it."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from test_code_check import fence, reviewed, states, words
from workspaces import small

from expand.code_check import chapter_code, sandbox
from expand.code_check.chapter_code import ChapterVerdicts, CodeCheck, Crate, Project

pytestmark = pytest.mark.skipif(
    not (shutil.which("cargo") and sandbox.kind_here()), reason="needs cargo, and something to contain it"
)

MANIFEST = fence(
    '[package]\nname = "log-tool"\nedition = "2021"\n\n[dependencies]\ndemo = "1"', 'toml title="Cargo.toml"'
)
LIBRARY = fence("pub mod parse;\npub fn count(text: &str) -> usize { text.lines().count() }", "rust:src/lib.rs")
PARSE = fence("// src/parse.rs\npub fn first(text: &str) -> Option<&str> { text.lines().next() }")


def crate(folder: Path, **files: str) -> Path:
    """A crate called demo."""
    (folder / "src").mkdir(parents=True)
    (folder / "Cargo.toml").write_text('[package]\nname = "demo"\nversion = "1.2.0"\nedition = "2021"\n')
    (folder / "src/lib.rs").write_text("pub fn hello() -> usize { 1 }\n")
    for name, text in files.items():
        (folder / f"{name}.rs").write_text(text)
    return folder


def judged(tmp_path: Path, *blocks: str, **crates: Crate) -> ChapterVerdicts:
    return CodeCheck(kept=tmp_path / "kept.json", project=Project(crates=crates)).judge({1: "\n\n".join(blocks)})


def test_the_running_example_is_judged_as_a_package_whatever_section_shows_it(tmp_path: Path) -> None:
    place = small(tmp_path)
    crate(place / "crates/demo")
    with (place / "outlines/07.yaml").open("a") as file:
        file.write("edition: 2021\npackages:\n  demo: {path: crates/demo}\n")
    blocks = [
        MANIFEST,
        LIBRARY,
        PARSE,
        fence("// src/bin/tool.rs\nuse log_tool::count;\nfn main() {\n    count(1);\n    log_tool::nope();\n}"),
        fence('// tests/all.rs\nuse log_tool::parse::first;\n#[test]\nfn one() { demo::hello(); first("a"); }'),
        fence("use log_tool::count;\nlet n: usize = count(\"x\") + demo::hello();"),
        fence("use log_tool::count;\nlet n: u8 = count(\"x\");"),
        fence("use serde::Serialize;"),
    ]  # fmt: skip
    counts, refused, notes = reviewed(place, *blocks)
    assert counts == {"blocks": 8, "checked": 7, "failed": 2, "unchecked": 1}
    assert "the rust block src/bin/tool.rs is refused: line 4: [E0308]: mismatched types" in refused[0]["message"]
    assert "line 5: [E0425]: cannot find function `nope` in crate `log_tool`" in refused[0]["message"]
    assert "line 2: [E0308]: mismatched types" in refused[1]["message"]
    assert "serde" in notes[0]["message"]
    again = reviewed(place, *blocks)
    assert again == (counts, refused, notes)


def test_a_later_version_of_a_file_is_judged_beside_the_others_of_its_time(tmp_path: Path) -> None:
    verdicts = judged(
        tmp_path,
        LIBRARY,
        PARSE,
        fence("use log::count;\nlet n: usize = count(\"x\");"),
        fence("// src/main.rs\nuse log::count;\nfn main() { count(\"x\"); log::parse::first(\"x\"); }"),
        fence("pub fn more() {}", "rust:src/lib.rs"),
        fence("pub fn count(text: &str) -> usize { text.lines().coun() }", "rust:src/lib.rs"),
        fence("// src/lost.rs\npub fn lost() {}"),
        fence("// tests/names.rs\nuse log::more;\n#[test]\nfn one() { more() }"),
    )  # fmt: skip
    assert states(verdicts)[:5] == ["passed"] * 5
    assert words(verdicts, 5).startswith("0: [E0599]: no method named `coun`")
    assert words(verdicts, 6) == "rust: no file of its package declares the module lost"
    assert states(verdicts)[7] == "unchecked"


def test_only_crates_that_somebody_chose_are_there_and_unused_ones_are_named(tmp_path: Path) -> None:
    demo = Crate(path=crate(tmp_path / "demo"))
    manifest = MANIFEST.replace('demo = "1"', 'demo = "1"\nlibc = "0.2"')
    verdicts = judged(
        tmp_path,
        manifest,
        fence("pub fn a() { demo::hello(); unsafe { libc::getpid() }; }", "rust:src/lib.rs"),
        demo=demo,
    )
    assert states(verdicts) == ["passed", "unchecked"]
    assert words(verdicts, 1) == "rust: neither outline nor brief names the crate libc"
    verdicts = judged(tmp_path, MANIFEST, fence("pub fn a() {}", "rust:src/lib.rs"), demo=demo)
    assert words(verdicts, 0) == "5: unused crate: no code of the chapter uses demo"
    later = fence("pub fn a() { demo::hello(); }", "rust:src/lib.rs")
    verdicts = judged(tmp_path, MANIFEST, fence("pub fn a() {}", "rust:src/lib.rs"), later, demo=demo)
    assert states(verdicts) == ["passed"] * 3  # it is used in a later version of the file
    verdicts = judged(
        tmp_path,
        manifest,
        fence("pub fn a() { demo::hello(); }", "rust:src/lib.rs"),
        fence("use libc::c_int;"),
        demo=demo,
    )
    assert states(verdicts) == ["passed", "passed", "unchecked"]
    absent = {"demo": demo, "zzz-no-such-crate": Crate("1")}
    verdicts = judged(
        tmp_path, fence("use demo::hello;\nhello();"), fence("use zzz_no_such_crate::a;\na();"), **absent
    )  # fmt: skip
    assert states(verdicts) == ["passed", "unchecked"]
    assert "cargo's cache lacks zzz-no-such-crate" in words(verdicts, 1)


def test_the_brief_names_files_whose_blocks_do_not(tmp_path: Path) -> None:
    place = small(tmp_path)
    (place / "briefs").mkdir()
    (place / "briefs/07.yaml").write_text("""\
edition: "2024"
packages: {demo: {path: crates/demo}}
sections:
- title: Signal handling
  topics:
  - {title: Blocking signals, shows: [src/lib.rs - the library, "src/parse.rs: what it needs"]}
  - {title: Handler safety, shows: [its use]}
""")
    crate(place / "crates/demo")
    unnamed = PARSE.replace("// src/parse.rs\n", "")
    used = fence('use chapter::parse::first;\nlet r#gen = first("a");\ndemo::hello();')
    topics = ("### 1.1 Blocking signals", "### 1.2 Handler safety")
    counts, refused, _ = reviewed(
        place, topics[0], fence("print(1)", "python"), LIBRARY.replace("rust:src/lib.rs", "rust"), unnamed, topics[1],
        fence("use chapter::{count, parse};\nlet n: usize = count(parse::first(\"a\").unwrap());"),
        used, used.replace("r#gen", "gen"),
    )  # fmt: skip
    assert counts == {"blocks": 6, "checked": 6, "failed": 1, "unchecked": 0}
    assert "expected identifier, found reserved keyword `gen`" in refused[0]["message"]


@pytest.mark.parametrize(
    ("manifest", "state", "said"),
    [
        ("[package]\nname = 3\nversion = {workspace = true}\n\n[dependencies]\nbb = {path = 3, features = 4}", "failed",
         "unused"),
        ("package = 3\ndependencies = 4\nlib = [1]\nbin = 2", "", ""),
        ("[package]\nname = \"log-tool\"\nedition = \"2027\"", "failed", "2027"),
        ("[package]\nname = \"a b\"", "failed", "invalid character"),
        ("[package]\nname = ", "failed", "line 2"),
        ("a." * 8_001, "failed", "longer than 16,000 characters"),
        ("#" * 15_999, "passed", ""),
        ("[features]\na = [\"b\"]\n\n[[bin]]\nname = \"x\"\npath = \"../../../etc/passwd\"", "", ""),
    ],
)  # fmt: skip
def test_whatever_a_manifest_holds_is_a_verdict(tmp_path: Path, manifest: str, state: str, said: str) -> None:
    verdicts = judged(tmp_path, fence(manifest, "toml:Cargo.toml"), fence("pub fn a() {}", "rust:src/lib.rs"))
    assert not state or states(verdicts)[0] == state
    assert said in words(verdicts)


@pytest.mark.parametrize(
    "spoilt", ['name = "o ne"', 'name = "two"', 'name = "one"\n[[bin]]\nname = "x"\npath = "src/no.rs"']
)
def test_each_folder_is_a_package_and_what_it_holds_spoils_none_beside_it(tmp_path: Path, spoilt: str) -> None:
    manifest = '[package]\nname = "two"\n\n[dependencies]\none = {path = "../one"}'
    verdicts = judged(
        tmp_path,
        fence(f"[package]\n{spoilt}", "toml:one/Cargo.toml"),
        fence("pub fn a() {}", "rust:one/src/lib.rs"),
        fence(manifest, "toml:two/Cargo.toml"),
        fence("pub fn b() { one::a() }", "rust:two/src/lib.rs"),
        fence("pub fn c() -> u8 { 1u16 }", "rust:three/src/lib.rs"),
    )
    found = {one.block.name: one.verdict for one in verdicts.judged}
    assert found["two/Cargo.toml"].state == "passed"
    assert found["two/src/lib.rs"].why == "rust: neither outline nor brief names the crate one"
    assert found["three/src/lib.rs"].state == "failed"
    own = found["one/src/lib.rs"]
    assert (own.state == "passed") is ("two" in spoilt)
    assert own.state == "passed" or "one/Cargo.toml of its package" in own.why or "can't find bin" in own.why


KEY, NET, OUT = (
    'std::env::var("OPENAI_API_KEY").is_err()',
    'std::net::TcpStream::connect("127.0.0.1:80").is_err() && std::net::TcpListener::bind("0.0.0.0:0").is_ok()',
    'std::fs::write("/usr/evil", "x").is_err() && std::fs::read_to_string("/etc/passwd").is_err()',
)
TRIES = f'let (key, net, out) = ({KEY}, {NET}, {OUT});\n    panic!("{{key}} {{net}} {{out}}");'
HOSTILE = {
    "tries": (TRIES, "true true true"),
    "forks": (
        'loop { if std::process::Command::new("sleep").arg("1").spawn().is_err() { panic!("no more") } }',
        "no more|it ran for more than 4 seconds",
    ),
    "prints": (
        'let row = "x".repeat(1 << 16);\n    loop { eprintln!("{row}"); }',
        "too much was printed|it printed more than 1,000,000 bytes|it ran for more than 4 seconds",
    ),
    "waits": ("loop { std::hint::spin_loop() }", "it ran for more than 4 seconds"),
}
"""What a program tries while a package is compiled, and what is said of it."""


@pytest.mark.parametrize("which", HOSTILE)
@pytest.mark.parametrize("place", ["build.rs", "macro"])
def test_what_is_executed_while_a_package_is_compiled_is_contained_and_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str, which: str
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret-key")
    monkeypatch.setattr(chapter_code, "SECONDS", 4.0)
    monkeypatch.setattr(sandbox, "MOST_MEMORY_KB", 600_000)
    body, said = HOSTILE[which]
    library = fence("pub fn a() {}", "rust:src/lib.rs")
    if place == "build.rs":
        blocks = [fence(f"fn main() {{\n    {body}\n}}", "rust:build.rs"), library]
    else:
        stream = "proc_macro::TokenStream"
        macro = f"#[proc_macro]\npub fn make(_: {stream}) -> {stream} {{\n    {body}\n}}"
        blocks = [
            fence('[package]\nname = "macros"\n\n[lib]\nproc-macro = true', 'toml title="Cargo.toml"'),
            fence(macro, "rust:src/lib.rs"),
            fence("macros::make!();\npub fn a() {}", "rust:tests/all.rs"),
        ]
    verdicts = judged(tmp_path, *blocks, fence("let fine = 1;"))
    assert states(verdicts)[-1] == "passed"
    failed = [one for one in verdicts.judged if one.verdict.state == "failed"]
    assert [one.block.name for one in failed] in (["build.rs"], ["src/lib.rs"], ["tests/all.rs"])
    assert re.search(said, failed[0].finding.message)
    assert not Path("/usr/evil").exists()


def test_no_macro_of_a_chapter_is_executed_where_nothing_contains_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sandbox, "kind_here", lambda: "")
    manifest = fence('[package]\nname = "macros"\n\n[lib]\nproc-macro = true', "toml:Cargo.toml")
    use = fence("macros::make!();", "rust:tests/all.rs")
    macro = fence(
        "#[proc_macro]\npub fn make(s: proc_macro::TokenStream) -> proc_macro::TokenStream { s }", "rust:src/lib.rs"
    )
    verdicts = judged(tmp_path, manifest, macro, use)
    assert states(verdicts) == ["unchecked"] * 3
    assert words(verdicts) == "rust: nothing here can contain cargo"
