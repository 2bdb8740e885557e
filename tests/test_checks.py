"""The checks of a draft: what they find, and what they leave in peace."""

from __future__ import annotations

import time

import pytest
from markdown_texts import titles_alike

from expand.checks import Finding, check_chapter, check_section, check_text, requirements, source_findings, text_defects
from expand.checks.finding import KINDS, finding
from expand.markdown import blocks, languages, matching
from expand.markdown.blocks import anchor
from expand.outline import Quality, Section, Text

PROSE = (
    "The kernel keeps a list of pages for each pipe, and splice moves references to them.",
    "A socket accepts such references when its driver can send scattered buffers.",
    "Measure before you change anything: a copy that fits into the cache is cheap.",
    "Large files gain most, because every page that is not copied stays out of the cache.",
)


def section(text: str, **changes: object) -> tuple[Finding, ...]:
    """The findings of a section whose target is what it has, unless told otherwise."""
    demands = {"code_examples": changes.pop("code_examples", None)}
    values: dict[str, object] = {
        "section": Section(number=2, title=Text(plain="Zero copy"), lines=10, **demands),  # type: ignore[arg-type]
        "title": "Zero copy",
        "topics": (),
        "text": text,
        "target": 0,
        "language": "en",
        "quality": Quality(),
    }
    values.update(changes)
    return check_section(**values)  # type: ignore[arg-type]


def kinds(findings: tuple[Finding, ...]) -> list[str]:
    return [finding.kind for finding in findings]


def test_a_good_section_has_no_findings() -> None:
    text = (
        "## 2. Zero copy\n\n### 2.1 splice/sendfile\n\n"
        + "\n\n".join(PROSE)
        + "\n\n```rust\nlet moved = splice(a, b)?;\nlet sent = moved + splice(a, b)?;\nuse_both(moved, sent);\n```\n\n"
        "### 2.2 Memory mapping (mmap)\n\n"
        "`mmap` puts a file into the address space, so that `todo!()` is never needed...\n"
    )
    found = section(
        text,
        topics=("splice and sendfile", "Memory mapping (mmap)"),
        target=20,
        quality=Quality(code_examples=1, code_language="rust"),
        code_examples=1,
    )
    assert found == ()


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (8, []),
        (7, []),
        (6, ["long", "warning"]),
        (9, ["short", "warning"]),
        (17, ["short", "blocking"]),
        (0, []),
    ],
)
def test_length(target: int, expected: list[str]) -> None:
    text = "## T\n\n" + "\n\n".join(PROSE[:3]) + "\n"
    found = section(text, target=target)
    assert [part for f in found for part in (f.kind, f.severity)] == expected
    assert all(f"8 of {target} lines" in f.message and not f.mendable for f in found)


def test_fences() -> None:
    found = check_text("Text.\n\n```rust\nfn main() {\n    let x = (1;\n}\n", section=1)
    assert [(f.kind, f.line, f.severity) for f in found] == [
        ("open-fence", 3, "blocking"),
        ("broken-code", 6, "warning"),
    ]
    assert "} stands where the ( of line 2 is to be closed" in found[1].message
    assert str(found[0]).startswith("section 1, line 3: the code block ```rust never ends: 4 lines")


@pytest.mark.parametrize(("end", "broken"), [("// --snip--", False), ("// ...", False), ("g();", True), ("…", False)])
def test_an_end_that_the_author_marks_is_no_fault(end: str, broken: bool) -> None:
    for language in ("rust", "js"):
        found = check_text(f"Text.\n\n```{language}\nmatch (x) {{\n    f();\n    {end}\n```\n", section=1)
        assert ("broken-code" in kinds(found)) is broken


BLOCK = "a();\nb();\n\n// c\nd();\n"


def test_few_examples_are_counted_as_readers_do() -> None:
    text = f"## T\n\n```rs\n{BLOCK}```\n\n```sh\nls\nls\nls\n```\n\n```text\nx\nx\nx\n```\n\n```rust\n```\n"
    text += "\n```rust\na();\nb();\n// c\n```\n"
    assert kinds(section(text, code_examples=2)) == []
    (found,) = section(text, code_examples=3)
    assert (found.kind, found.message) == ("few-examples", "2 of 3 code examples that the outline demands")
    assert (found.severity, found.mendable) == ("warning", True)
    (found,) = section(text, code_examples=2, quality=Quality(code_language="rust"))
    assert found.message.startswith("1 of 2 rust code examples")
    (found,) = section(text, code_examples=2, refused={3})
    assert found.message.startswith("1 of 2 code examples")
    (found,) = section(text, share=3)
    assert (found.kind, found.severity, found.mendable) == ("few-examples", "note", False)


@pytest.mark.parametrize(
    ("text", "is_thin"),
    [
        ("\n".join(["abcdefg hijklmn"] * 10), True),
        ("\n".join(["abcdefgh ijklmno"] * 10), False),
        ("\n".join(["abcdefg hijklmn"] * 9), False),
        ("\n".join(["- abcde fghi"] * 10), True),
        ("\n".join(["- abcde fghij"] * 10), False),
        ("```c\n" + "f();\n" * 4 + "// x\n" * 7 + "```", True),
        ("```c\n" + "f();\n" * 4 + "// x\n" * 6 + "```", False),
        ("\n".join(["word"] * 10) + "\n\n" + "\n".join(["A line that has more to say."] * 30), True),
        ("\n".join(["word"] * 10) + "\n\n" + "\n".join(["A line that has more to say."] * 31), False),
    ],
)
def test_when_text_is_thin(text: str, is_thin: bool) -> None:
    assert bool(text_defects.thin_text(f"{text}\n", section=1)) == is_thin


@pytest.mark.parametrize(
    "code",
    [
        "// ... rest omitted",
        "// rest of the implementation goes here",
        "    // ... existing code ...",
        "# ... existing code ...",
        "let a = 1; // other fields omitted",
        "// implementation omitted for brevity",
        "// your code here",
        "/* add your logic here */",
        "// TODO: handle errors",
        "# FIXME",
        "todo!()",
        '    Ok(todo!("later"))',
        "// 其余代码省略",
        "// 此处省略具体实现",
        "// 省略其余部分",
        "// …… 其他代码略",
        "// 在此处添加您的代码",
        "// omitted",
    ],
)
def test_placeholders_in_code(code: str) -> None:
    (found,) = check_text(f"Text.\n\n```text\na\n{code}\n```\n", section=1)
    assert (found.kind, found.line, found.mendable) == ("placeholder", 5, True)


@pytest.mark.parametrize(
    "prose",
    [
        "TODO",
        "**TODO**: describe the flags",
        "TODO: describe the flags",
        "[Insert benchmark results here]",
        "<your code here>",
        "<!-- TODO: benchmarks -->",
        "<!-- ... rest of the section omitted ... -->",
        "The loop. [rest of the code omitted]",
        "（此处省略其余代码）",
        "此处省略。",
        "待补充",
    ],
)
def test_placeholders_in_prose(prose: str) -> None:
    assert kinds(check_text(f"{prose}\n", section=1)) == ["placeholder"]


@pytest.mark.parametrize(
    "text",
    [
        "It waits ... and then goes on, 0..10, `a..b`.",
        "Mark open ends with `todo!()` and `// TODO`.",
        "A TODO list app needs a list.",
        "```python\nclass P(Protocol):\n    def f(self) -> int: ...\n```",
        "```rust\nfor i in 0..10 {}\nlet S { a, .. } = s;\n```",
        "```rust\n// the remaining bytes are read by the caller\nread(rest);\n```",
        "```rust\n// existing connections stay open\nkeep();\n```",
        "```sh\ncurl -H 'Authorization: <token>' https://example.org/#todo\n```",
        "<div>\n<!-- kept by hand -->\n</div>",
        "[insert](https://example.org/code) a row, or [your code][1].",
        "省略参数时使用默认值。",
        "```rust\n// 省略参数时使用默认值\nf();\n```",
        "```text\n$ perf record ...\n```",
    ],
)
def test_no_placeholders(text: str) -> None:
    assert "placeholder" not in kinds(check_text(f"{text}\n", section=1))


@pytest.mark.parametrize(
    "said",
    [
        "I'm sorry, but I can't help with that.",
        "I am sorry, but as an AI I have no access to files.",
        "As an AI language model, I cannot run benchmarks.",
        "I cannot provide the full section.",
        "Unfortunately, I am unable to continue this text.",
        "I apologize for the confusion, here it is.",
        "抱歉，我无法完成这个请求。",
        "作为一个人工智能语言模型，我不能运行代码。",
        "我无法提供完整的章节。",
    ],
)
def test_refusals(said: str) -> None:
    (found,) = check_text(f"Text.\n\n{said}\n", section=1)
    assert (found.kind, found.line, found.severity) == ("refusal", 3, "blocking")


@pytest.mark.parametrize(
    "said",
    [
        "Max tries. Failed.",
        "[Scene 2 content unavailable]",
        "[content unavailable]",
        "Error code: 500 - {'error': 'server'}",
        "Rate limit exceeded",
        "503 Service Unavailable",
        "Request timed out.",
        "null",
        "生成失败",
    ],
)
def test_error_text(said: str) -> None:
    (found,) = check_text(f"Text.\n\n{said}\n", section=1)
    assert (found.kind, found.severity) == ("error-text", "blocking")


@pytest.mark.parametrize(
    "said",
    [
        "As an AI workload grows, I/O becomes the limit.",
        "The server answers `503 Service Unavailable` then.",
        "`rate limit exceeded`",
        "If the rate limit is exceeded, wait and try again.",
        "Sorry states: processes that nobody waits for.",
        "```text\nError code: 500\n```",
        "这时进程无法继续。",
        "Max tries is the bound of the loop; it is 5 unless you set it, and the loop then stops.",
    ],
)
def test_no_talk(said: str) -> None:
    assert check_text(f"{said}\n", section=1) == ()


def test_repeated_passages_are_counted_and_placed() -> None:
    near = PROSE[3].replace("Large files", "Big files")
    text = "\n\n".join([*PROSE, PROSE[1], near]) + "\n"
    (found,) = check_text(text, section=1)
    assert (found.kind, found.line, found.severity, found.mendable) == (
        "repeats",
        9,
        "warning",
        True,
    )
    assert found.message.startswith("2 of 6 passages and code blocks repeat earlier ones; ")
    assert "the first repeats what stands 6 lines above: A socket" in found.message


def test_one_sentence_over_and_over_blocks() -> None:
    (found,) = check_text(f"{PROSE[0]}\n\n" * 150, section=1)
    assert (found.severity, found.message[:10]) == ("blocking", "149 of 150")
    chinese = "内核为每个管道维护一个页面列表，并在不复制数据的情况下移动这些页面的引用。"
    assert kinds(check_text(f"{chinese}\n\n- {chinese}\n", section=1)) == ["repeats"]


def test_one_short_repetition_is_only_noted() -> None:
    short = "The flag is off unless you set it yourself."
    (found,) = check_text(f"{short}\n\n{PROSE[0]}\n\n{short}\n", section=1)
    assert (found.severity, found.mendable) == ("note", False)


def test_code_said_twice_and_what_may_repeat() -> None:
    rows = ("let a = splice(one, two)?;", "let b = tee(two, three)?;", "use_it(a);", "use_it(b);")
    code = "```rust\n" + "\n".join(rows) + "\n```\n"
    (found,) = check_text(f"{code}\n{code}", section=1)
    assert (found.kind, found.line) == ("repeats", 8)
    assert check_text("Output:\n\n1\n\nOutput:\n\n2\n\n```sh\nls\n```\n\n```sh\nls\n```\n", section=1) == ()


def test_topics_not_treated() -> None:
    text = (
        "## 2. Tools\n\n### 2.1 The perf tool\n\n`perf stat` counts.\n\n### 2.2 valgrind/massif\n\n"
        "### 2.3 缓存命中率分析\n\n---\n\n待补充\n\n### 2.4 More\n\nOther words.\n"
    )
    found = section(
        text,
        topics=(
            "The perf tool",
            "valgrind/massif",
            "缓存命中率分析",
            "strace (system calls)",
            "🎯",
        ),
    )
    found = tuple(f for f in found if f.kind == "topic-missing")
    assert [(f.kind, f.line) for f in found] == [
        ("topic-missing", 1),
        ("topic-missing", 7),
        ("topic-missing", 9),
    ]
    assert "topic 2 of 5 is not treated (nothing stands under its heading)" in found[1].message
    assert "it has no heading, and too few of its terms occur" in found[0].message


def test_a_topic_may_be_treated_in_other_words() -> None:
    text = "## T\n\n这里分析缓存的命中率。\n\nTraced with `strace`. Profiles were compared.\n"
    assert section(text, topics=("缓存命中率分析", "strace/ltrace", "Comparing profiles"), language="zh") == ()


def test_headings_that_the_outline_does_not_know() -> None:
    text = "## 2. T\n\n### 2.1 Pipes\n\npipes\n\n### Other\n\na\n\n#### Deep\n\nb\n\n## 2. T\n\nc\n"
    found = section(text, title="T T", topics=("Pipes",))
    assert [(f.kind, f.line, f.severity) for f in found] == [
        ("unknown-heading", 7, "note"),
        ("unknown-heading", 15, "warning"),
    ]
    assert section("## T\n\n### Free\n\na\n") == ()
    (other,) = section("## 2. Pipes\n\na\n\n## Pipes\n\nb\n", title="Pipes")
    assert "is not in the outline" in other.message


ENGLISH = "The kernel moves the pages between two pipes and never copies the data of them."
CHINESE = "内核在两个管道之间移动页面，从不复制其中的数据，因此吞吐量更高，处理器占用更低，延迟也更稳定。"


def test_wrong_language() -> None:
    (found,) = section(f"## T\n\n{CHINESE}\n", language="en")
    assert (found.kind, found.line, found.severity) == ("wrong-language", 3, "blocking")
    (found,) = section(f"## T\n\n{CHINESE}\n\n{CHINESE[::-1]}\n\n{ENGLISH}\n", language="zh-CN")
    assert found.severity == "warning"
    assert found.message.startswith("1 of 4 passages (20% of the text) are not in 'zh-CN'; the first is in 'en'")
    (found,) = section(f"## T\n\n{ENGLISH}\n", language="de")
    assert "the first is in 'en': The kernel" in found.message


def test_names_and_code_are_no_foreign_text() -> None:
    names = "支持 Linux、FreeBSD、OpenBSD、NetBSD、DragonFly、illumos、Solaris、macOS 和 Windows。"
    code = f"使用 `{ENGLISH}` 命令即可，详见[文档](https://example.org/{'a' * 60})说明。"
    assert section(f"## T\n\n{names}\n\n{code}\n", language="zh") == ()
    title = "The book 性能工程实践 has a chapter on pipes that everybody who writes servers reads."
    assert section(f"## T\n\n{title}\n\n示例：\n", language="en") == ()


def test_copies_across_sections() -> None:
    texts = {1: f"## A\n\n{PROSE[0]}\n", 2: f"## B\n\n{PROSE[1]}\n\n{PROSE[0]}\n\n{PROSE[1]}\n"}
    (found,) = check_chapter(texts)
    assert (found.kind, found.section, found.line) == ("repeats", 2, 5)
    assert found.message.startswith("1 of its parts stand in another section; the first in section 1: ")
    twice = {1: f"## A\n\n{PROSE[0]}\n\n{PROSE[2]}\n", 2: f"## B\n\n{PROSE[0]}\n\n{PROSE[2]}\n"}
    assert check_chapter(twice)[0].message.startswith("2 of its parts stand in another section;")


def test_copies_of_other_chapters() -> None:
    said = " ".join(PROSE[:2])
    changed = said.replace("keeps a list", "has a list").replace("scattered", "several")
    others = {"drafts/04.md": f"# B\n\n{PROSE[2]}\n\n- {changed}\n", "drafts/05.md": f"{said}\n"}
    (found,) = check_chapter({1: f"## A\n\nText.\n\n{said}\n\n{PROSE[2]}\n"}, others=others)
    assert (found.kind, found.section, found.line, found.severity) == ("repeats", 1, 5, "warning")
    assert found.message.startswith("1 of its parts stand in another chapter; the first in drafts/04.md, line 5: The")
    assert check_chapter({1: f"## A\n\n{PROSE[2]}\n"}, others=others) == (), "a short passage may stand in two chapters"


def test_links_that_lead_nowhere() -> None:
    texts = {
        0: "# T\n\n[back](../a.md)\n",
        1: '## 1. Zero copy\n\n<a id="here"></a>\n\n[a](#1-zero-copy) [b](#HERE) [c](#gone) [d](#)\n',
        2: "## 零拷贝：技术\n\n## 1. Zero copy\n\n[e](b.md#x) [f](https://e.org/#y) [g](/root) "
        "[h](#零拷贝技术) [i](#1-zero-copy-1) ![j](no%20image.png?raw=1) [k](mailto:a@b.c)\n",
    }
    asked: list[str] = []

    def exists(path: str) -> bool:
        asked.append(path)
        return path in ("../a.md", "/root")

    found = check_chapter(texts, exists=exists)
    assert [(f.kind, f.section, f.line) for f in found] == [
        ("broken-link", 1, 5),
        ("broken-link", 2, 5),
        ("broken-link", 2, 5),
    ]
    assert asked == ["../a.md", "b.md", "/root", "no image.png"]
    assert "it is none of the 5 anchors" in found[0].message
    assert kinds(check_chapter(texts)) == ["broken-link"]


def test_anchors_are_those_of_github() -> None:
    assert anchor("1.2 `mmap` & [links](x.md): **Fast!**") == "12-mmap--links-fast"
    assert anchor("零拷贝 (splice)") == "零拷贝-splice"
    assert anchor("`Vec<T>` and <b>[`Box`](box.md)</b>") == "vect-and-box"


def test_examples_of_the_whole_chapter() -> None:
    texts = {1: f"```rust\n{BLOCK}```\n", 2: "```sh\nls\nls\nls\n```\n"}
    (found,) = check_chapter(texts, quality=Quality(code_examples=2, code_language="rust"))
    assert (found.section, found.kind, found.mendable) == (0, "few-examples", False)
    assert found.severity == "warning"
    assert check_chapter(texts, quality=Quality(code_examples=2)) == ()
    assert check_chapter(texts, quality=Quality(code_examples=2), refused={1: {1}}) != ()


STUB = "# T\n\n> **Kind**: x\n\n## A\n\nText about mmap.\n\n- one\n- two\n\n---\n\n**End**\n"


def test_blocks_of_the_source_that_the_draft_does_not_hold() -> None:
    def left_out(source: str, draft: str) -> list[str]:
        return [finding.message for finding in source_findings(blocks.blocks(source), draft)]

    draft = STUB.replace("Text about mmap.", "Text about\n  mmap.").replace("- two\n", "")
    assert left_out(STUB, draft) == ["the source's list at its line 9 is not in the draft: - one - two"]
    assert left_out(STUB, STUB) == []
    table = "| a | b |\n|---|---|\n| 1 | 2 |\n"
    assert left_out(table, "| a | b |\n|---|---|\n| 0 | 0 |\n| 1 | 2 |\n") == []
    assert [message.split()[2] for message in left_out("```rs\nx\n```\n\n[r]: y\n", "```rs\nz\n```\n")] == [
        "fence",
        "other",
    ]


# Thresholds, on both sides


def lines_of(number: int) -> str:
    """A section that counts as so many lines."""
    return "## T\n\n" + "".join(f"line {row} of this text\n" for row in range(number - 3))


@pytest.mark.parametrize(
    ("delivered", "expected"),
    [
        (49, [("short", "blocking")]),
        (50, [("short", "warning")]),
        (94, [("short", "warning")]),
        (95, []),
        (120, []),
        (121, [("long", "warning")]),
    ],
)
def test_a_section_is_short_below_95_percent_and_long_above_120(delivered: int, expected: list[object]) -> None:
    found = section(lines_of(delivered), target=100)
    assert [(f.kind, f.severity) for f in found] == expected
    assert all(f.message.startswith(f"{delivered} of 100 lines") for f in found)


LETTERS = sum(map(str.isalpha, ENGLISH))


@pytest.mark.parametrize(
    ("text", "language", "found"),
    [
        ("内" * 11, "en", None),
        ("内" * 12, "en", "zh"),
        ("内" * 12, "zh-Hans", None),
        ("内" * 14 + "a" * 78, "en", None),
        ("内" * 14 + "a" * 77, "en", "zh"),
        ("内" * 4 + ENGLISH, "zh", None),
        ("内" * 3 + ENGLISH, "zh", "en"),
        ("内" * 16 + "の" * 4, "zh", None),
        ("内" * 16 + "の" * 5, "zh", "ja"),
        ("内" * 12 + "の", "ja", None),
        ("내" * 4 + "内" * 4, "zh", None),
        ("내" * 5 + "内" * 4, "zh", "ko"),
        ("Rust Tokio Serde The Of and and and", "de", None),
        ("Das ist ein Satz über <b>Röhren</b> und nichts weiter.", "de-AT", None),
        ("Das ist ein Satz über <b>Röhren</b> und nichts weiter.", "en", "de"),
    ],
)
def test_when_a_text_is_in_another_language(text: str, language: str, found: str | None) -> None:
    assert languages.foreign(text, language) == found


def test_a_text_that_is_part_chinese_has_three_letters_for_each_character() -> None:
    assert LETTERS == 64
    assert [languages.letters("内の내a1 <b>")] == [10]


@pytest.mark.parametrize(("text", "expected"), [("内" * 13, []), ("内" * 14, ["wrong-language"])])
def test_a_piece_of_less_than_40_letters_is_in_no_language(text: str, expected: list[str]) -> None:
    assert kinds(section(f"## T\n\n{text}\n")) == expected


@pytest.mark.parametrize(("foreign", "severity"), [(67, "warning"), (68, "blocking")])
def test_a_section_that_is_mostly_foreign_is_not_accepted(foreign: int, severity: str) -> None:
    (found,) = section(f"## T\n\n{'a' * 200}\n\n{'内' * foreign}\n")
    assert found.severity == severity


@pytest.mark.parametrize(("common", "total", "why"), [(9, 25, "nothing stands under"), (23, 64, "it has no heading")])
def test_how_like_a_topic_its_heading_has_to_be(common: int, total: int, why: str) -> None:
    topic, heading = titles_alike(common, total)
    found = section(f"## T\n\n### {heading}\n", topics=(topic,))
    assert [f.kind for f in found] == ["topic-missing"] + (["unknown-heading"] if why.startswith("it") else [])
    assert why in found[0].message


@pytest.mark.parametrize(("said", "expected"), [("甲乙丙丁", ["topic-missing"]), ("甲乙丙丁戊", [])])
def test_a_chinese_topic_is_treated_from_four_tenths_of_its_pairs(said: str, expected: list[str]) -> None:
    topic = "甲乙丙丁戊己庚辛壬癸子"
    assert kinds(section(f"## T\n\n{said}。\n", topics=(topic,), language="zh")) == expected


@pytest.mark.parametrize(("level", "severities"), [(2, ["warning"]), (3, ["note"]), (4, [])])
def test_headings_below_the_topics_are_free(level: int, severities: list[str]) -> None:
    found = section(f"## T\n\npipes\n\n{'#' * level} Other\n\na\n", topics=("pipes",))
    assert [f.severity for f in found] == severities


@pytest.mark.parametrize(("length", "expected"), [(400, ["placeholder"]), (401, [])])
def test_a_comment_is_read_for_400_characters(length: int, expected: list[str]) -> None:
    comment = f"{'x' * (length - len(' is left as an exercise'))} is left as an exercise"
    assert kinds(check_text(f"```text\n// {comment}\n```\n", section=1)) == expected


@pytest.mark.parametrize(("length", "expected"), [(100, ["placeholder"]), (101, [])])
def test_what_stands_for_text_has_100_characters_at_most(length: int, expected: list[str]) -> None:
    said = f"{'The rest of the code is '.ljust(length - len('omitted!'), '.')}omitted!"
    assert kinds(check_text(f"## T\n\n{said}\n", section=1)) == expected
    assert kinds(check_text(f"```text\n// {said}\n```\n", section=1)) == expected


@pytest.mark.parametrize(("length", "expected"), [(200, ["error-text"]), (201, [])])
def test_an_error_message_has_200_characters_at_most(length: int, expected: list[str]) -> None:
    assert kinds(check_text('{"error": ' + "x" * (length - 10) + "\n", section=1)) == expected


def words(number: int, of: str = "w") -> str:
    return " ".join(f"{of}{word}" for word in range(number))


@pytest.mark.parametrize(
    ("number", "kept", "expected"),
    [(102, 76, ["repeats"]), (102, 75, []), (19, 16, ["repeats"]), (19, 15, []), (27, 20, ["repeats"]), (28, 20, [])],
)
def test_how_much_of_a_passage_has_to_be_the_same(number: int, kept: int, expected: list[str]) -> None:
    assert kinds(check_text(f"{words(number)}\n\n{words(kept)}\n", section=1)) == expected
    assert kinds(check_chapter({1: words(number), 2: words(kept)})) == expected


def test_every_tenth_word_may_be_changed() -> None:
    said = words(40).split()
    changed = " ".join(f"new{n}" if n % 10 == 5 else word for n, word in enumerate(said))
    (found,) = check_text(f"{words(40)}\n\n{changed}\n", section=1)
    assert found.severity == "warning"
    much = " ".join(f"new{n}" if n % 5 == 2 else word for n, word in enumerate(said))
    assert check_text(f"{words(40)}\n\n{much}\n", section=1) == ()


@pytest.mark.parametrize(
    ("passage", "expected"),
    [
        (words(7), []),
        (words(8), ["repeats"]),
        ("内" * 24, []),
        ("内" * 25, ["repeats"]),
        (f"{words(4)} {'内' * 12}", []),
        (f"{words(4)} {'内' * 13}", ["repeats"]),
        (f"{words(7)} `code`", []),
        (f"{words(8)} `code`", ["repeats"]),
    ],
)
def test_short_passages_may_repeat(passage: str, expected: list[str]) -> None:
    assert kinds(check_text(f"{passage}\n\n{passage}\n", section=1)) == expected


@pytest.mark.parametrize(("number", "severity"), [(19, "note"), (20, "warning")])
def test_one_repetition_of_few_words_is_noted(number: int, severity: str) -> None:
    (found,) = check_text(f"{words(number)}\n\n{words(number)}\n", section=1)
    assert (found.severity, found.mendable) == (severity, severity != "note")


@pytest.mark.parametrize(
    ("rows", "characters", "expected"), [(4, 60, ["repeats"]), (4, 59, []), (3, 60, []), (5, 60, ["repeats"])]
)
def test_short_code_may_repeat(rows: int, characters: int, expected: list[str]) -> None:
    width, more = divmod(characters, rows)
    code = "".join(f"{'abcde'[row] * (width + (row < more))}\n" for row in range(rows))
    assert kinds(check_text(f"```text\n{code}```\n\n```text\n{code}```\n", section=1)) == expected


@pytest.mark.parametrize(
    ("repeated", "others", "severity"), [(3, 3, "blocking"), (3, 4, "warning"), (2, 2, "warning"), (4, 4, "blocking")]
)
def test_three_repetitions_that_are_half_of_a_section_block(repeated: int, others: int, severity: str) -> None:
    passages = [words(30, of=f"p{number}x") for number in range(others)]
    (found,) = check_text("\n\n".join([*passages, *passages[:repeated]]) + "\n", section=1)
    assert found.message.startswith(f"{repeated} of {repeated + others} ")
    assert found.severity == severity


@pytest.mark.parametrize(("length", "shown"), [(60, "a" * 60), (61, "a" * 59 + "…")])
def test_a_message_quotes_60_characters(length: int, shown: str) -> None:
    (found,) = section("## T\n", topics=("a" * length,))
    assert found.message.endswith(f": {shown}")


def test_every_kind_of_finding_is_in_the_table_with_its_severities() -> None:
    taken = "note where a person has taken the length as it is"
    assert KINDS["short"].severity_text == f"warning; blocking below 50 %; {taken}"
    assert all(kind.says and kind.remedy and kind.severities for kind in KINDS.values())
    assert finding("open-fence", 1, 2, "m").severity == "blocking"
    with pytest.raises(AssertionError, match="a finding open-fence is never note"):
        finding("open-fence", 1, 2, "m", severity="note")
    with pytest.raises(KeyError):
        finding("unheard-of", 1, 2, "m")


def test_a_chapter_of_a_thousand_lines_is_checked_quickly() -> None:
    part = (
        "### 2.{0} Topic {0}\n\n"
        + "\n\n".join(
            f"Paragraph {{0}} number {n} speaks of thing{{0}}x{n}, value{n}y{{0}} and case {n * 7}." for n in range(12)
        )
        + "\n\n```rust\nfn f{0}() -> u32 {{\n    let x = {0};\n    x + 1\n}}\n```\n\n"
        + "- a {0}\n- b {0}\n\n"
    )
    text = "## 2. T\n\n" + "".join(part.format(n) for n in range(28))
    assert text.count("\n") > 1000
    section("## warm\n\n```rust\nfn f() {}\n```\n")
    began = time.process_time()
    section(text, target=1000, topics=("Topic 1", "Topic 2"))
    check_chapter({1: text})
    # 0.1 s alone; more under coverage and load. Checks that are quadratic would take minutes.
    assert time.process_time() - began < 3


@pytest.mark.parametrize("sections", [1, 10])
def test_a_chapter_of_300_topics_is_checked_quickly(sections: int) -> None:
    topics = [f"Topic {n}: the case of thing{n} and value{n}y" for n in range(300)]
    each = 300 // sections
    texts, began = {}, 0.0
    for warm in (True, False):
        began = time.process_time()
        for number in range(1 if warm else sections):
            own = topics[number * each : number * each + (3 if warm else each)]
            texts[number + 1] = f"## S{number}\n\n" + "".join(
                f"### {topic}\n\nParagraph {number} says of {topic} and of case{k}x{number} what is {k * 7} there.\n\n"
                f"```rust\nfn f{k}x{number}() -> u32 {{\n    let x = {k};\n    x + {number}\n}}\n```\n\n"
                for k, topic in enumerate(own)
            )
            assert "topic-missing" not in kinds(section(texts[number + 1], topics=tuple(own)))
        check_chapter(texts)
    # 0.4 s alone; under coverage and load more. Comparing every heading with every topic takes five.
    assert time.process_time() - began < 2


def test_headings_that_share_nothing_with_a_topic_are_not_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[str] = []
    likeness = matching.likeness

    def noted(one: str, other: str) -> float:
        compared.append(one)
        return likeness(one, other)

    monkeypatch.setattr(matching, "likeness", noted)
    text = "## 1. T\n\n### Pipes and sockets\n\nOf pipes.\n\n### Timers\n\nOf time.\n"
    assert [*requirements.missing_topics(text, "T", ["Pipes and their sockets"], section=1)] == []
    assert set(compared) == {"Pipes and sockets"}
