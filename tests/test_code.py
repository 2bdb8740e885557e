"""Code blocks parsed offline, as the excerpts they may be."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from expand.markdown.code import fault, language_named


@pytest.mark.parametrize(
    ("language", "code"),
    [
        ("rust", "fn main() { let x = 1; }"),
        ("rs", "let x = 1;\nfoo(x)?;"),
        ("rust", "use a::b;\n\nfoo()?;\n"),
        ("rust", "fn a(&self) -> u8;\nfn b(&self);"),
        ("rust", "pub fn a(&self) -> u8 { self.a }"),
        ("rust", "pub a: u8,\nb: String,"),
        ("rust", "Red,\nGreen(u8),"),
        ("rust", "Some(x) => 1,\nNone => 2,"),
        ("rust", "name: String::new(),\nsize: 3,"),
        ("rust", "Foo::new()"),
        ("rust", ".arg(1)\n.arg(2)"),
        ("rust", "# use foo;\nfn x() {}"),
        ("rust", "struct S { ... }"),
        ("rust", "fn f(...) {\n    ...\n}"),
        ("rust", "fn f() {\n    // ...\n}"),
        ("python", "    return 1"),
        ("python", "await f()"),
        ("python", ">>> 1+1\n2\n>>> for x in y:\n...   f(x)\n"),
        ("python", ">>> f(\n    1,\n)\n3\n"),
        ("python", "%timeit x\n!pip install y"),
        ("python", 'f("%s of %s"\n  % (x, y))'),
        ("python", "class P(Protocol):\n    def f(self): ...\n"),
        ("py", "def f(x):"),
        ("python", "def f(): pass; g()\nx = [a\nfor a in b\n  if a]\nif a: x\nelse:\n  # c\n    y\n"),
        ("rust", 'unsafe extern "C" {\n    safe static X: i32;\n    pub safe fn f();\n}'),
        ("rust", "let (a, b);\nS { a, .. } = s;\nlet S { b, .. } = s;\nlet T { 0: c, .. } = t;"),
        ("python", "@a\nclass A:\n    async def f(self):\n        try: x\n        finally: y\n# end\n"),
        ("toml", "[a]\nb = 1\n...\n"),
        ("json", '{"a": [1, ...]}'),
        ("json", '"a": 1,\n"b": 2'),
        ("jsonc", '{// x\n"a":1,}'),
        ("console", "$ 'x"),
        ("text", "fn ("),
        ("", "fn ("),
        ("rust", "\n"),
    ],
)
def test_fine_code_and_fair_fragments(language: str, code: str) -> None:
    assert fault(language, code) is None


@pytest.mark.parametrize(
    ("language", "code", "line"),
    [
        ("rust", "fn main() {\n    let x = 1;\n", 1),
        ("rust", "let x = foo(\n", 0),
        ("python", "def f():\n    return (1\n", 1),
        ("python", "pip install 'a==1.*'", 0),
        ("python", "def f():\n    # soon\n\nx = 1\n", 0),
        ("python", "if a:\n    x\n      y\n", 2),
        ("python", "if a:\n    x\n  y\n", 2),
        ("python", "if a:\n    x\n  else:\n    y\n", 2),
        ("python", "try:\n    x\nexcept:\ny\n", 2),
        ("json", '{"a": [1}', 0),
        ("toml", "[a]\nb = [1\n", 1),
        ("python", "class A:\n    x\n    @a\n      def f(self): pass\n", 3),
    ],
)
def test_broken_code_is_placed(language: str, code: str, line: int) -> None:
    assert (fault(language, code) or (None,))[0] == line


def test_names_of_languages() -> None:
    assert language_named("rs") == language_named("Rust") == "rust"
    assert language_named("Go") == "go"
    assert language_named("lua") == "lua"


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(["rust", "python", "json", "mermaid"]), st.text(max_size=40))
def test_no_code_makes_it_raise(language: str, code: str) -> None:
    found = fault(language, code)
    assert found is None or 0 <= found[0] <= code.count("\n") + code.count("\r")  # Markdown's lines end with either


def test_brackets_of_long_listings_take_their_time_once() -> None:
    rows = "func f(a int) { g(a, [1]int{2}) }\n"
    began = time.process_time()
    assert fault("go", rows * 8_000) is None
    assert fault("go", rows * 8_000 + "}") == (8_000, "} closes nothing")
    assert time.process_time() - began < 15  # 60 where lines are counted from the top for each bracket


@pytest.mark.parametrize(("language", "rest"), [("c", "\n" * 20_000), ("java", "a\n" * 20_000), ("cpp", "\t" * 20_000)])
def test_what_is_hardly_code_takes_no_time(language: str, rest: str) -> None:
    began = time.process_time()
    fault(language, f"f({rest}")
    assert time.process_time() - began < 5  # a minute where Pygments is given all of it


def test_blank_lines_count_in_the_line_of_a_bracket() -> None:
    assert fault("go", "func a() {\n\n\n  f(]\n}") == (3, "] stands where the ( of line 4 is to be closed")
    assert fault("go", "\n\nfunc a() {\n\n  f()\n\n") == (4, "it ends before the { of line 3 is closed")
    assert fault("go", "\n \n") is None
    assert fault("java", "// { not open") is None, "a comment needs the end of its line"


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("graph LR\n  A --> B\n", None),
        ("graph LR\n  A --> B -->\n", (1, "an arrow leads nowhere")),
        ("graph LR\n  --> B\n", (1, "an arrow leads nowhere")),
        ("graph LR\n  A -->|to| B[x]\n  style A stroke-dasharray: --\n", None),
        ("sequenceDiagram\n  A->>B: hi\n  A-)B: later\n  activate B\n", None),
        ("sequenceDiagram\n  A->>B: hi\n  A->>B hi\n", (2, "the message has no colon and text")),
    ],
)
def test_arrows_and_messages_of_diagrams(code: str, found: tuple[int, str] | None) -> None:
    assert fault("mermaid", code) == found
