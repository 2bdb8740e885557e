"""The shipped book, outlines and stubs, against the figures of the plan they were made from."""

from __future__ import annotations

import re
from decimal import Decimal
from pathlib import Path

import jsonschema
import pytest
import yaml
from tree_sitter import Language, Parser
from tree_sitter_rust import language as rust

from expand.doctor.outline_check import lint
from expand.outline import Allowance, Book, Outline
from expand.outline.reading import BOOK, OUTLINE, read_book, read_outline

ROOT = Path(__file__).parent.parent

# Section, its lines, and how many topics it has, as the plan lists them.
PLAN: dict[str, tuple[str, str, list[tuple[str, int, list[str]]]]] = {
    "03": (
        "性能工程实践",
        "chapters/03_performance_engineering.md",
        [
            (
                "性能分析方法论",
                150,
                [
                    "性能指标体系（延迟/吞吐量/资源利用率）",
                    "分析流程（测量→分析→优化→验证）",
                    "性能目标设定",
                ],
            ),
            (
                "性能剖析工具",
                250,
                [
                    "perf工具（CPU profiling）",
                    "flamegraph可视化",
                    "valgrind/massif（内存分析）",
                    "strace/ltrace（系统调用追踪）",
                    "Rust工具链（cargo flamegraph）",
                ],
            ),
            ("热点分析", 150, ["CPU热点识别", "内存热点分析", "I/O瓶颈诊断"]),
            (
                "性能调优策略",
                200,
                [
                    "系统级优化（内核参数调整）",
                    "应用级优化（算法/数据结构）",
                    "编译器优化（LTO/PGO）",
                ],
            ),
            ("零拷贝技术", 100, ["splice/sendfile", "内存映射（mmap）"]),
            ("生产环境优化", 100, ["监控体系", "持续优化流程"]),
            ("实战案例", 50, ["高性能进程管理系统优化"]),
            ("最佳实践", 25, []),
        ],
    ),
    "04": (
        "测试与基准",
        "chapters/04_testing_and_benchmarking.md",
        [
            (
                "测试策略",
                150,
                [
                    "单元测试（进程创建/销毁/通信）",
                    "集成测试（多进程协作）",
                    "端到端测试（完整工作流）",
                ],
            ),
            (
                "进程测试技巧",
                200,
                ["Mock进程", "超时处理", "错误注入", "僵尸进程处理", "信号处理测试"],
            ),
            (
                "基准测试",
                250,
                ["Criterion框架详解", "进程启动基准", "IPC通信基准", "性能回归检测"],
            ),
            ("压力测试", 150, ["负载生成", "稳定性测试", "内存泄漏检测", "资源耗尽测试"]),
            ("CI/CD集成", 150, ["GitHub Actions配置", "自动化测试流程", "性能监控集成"]),
            ("实战案例", 50, ["完整测试套件示例"]),
            ("最佳实践", 50, []),
        ],
    ),
    "05": (
        "现代进程库",
        "chapters/05_modern_process_libraries.md",
        [
            (
                "Tokio进程管理",
                250,
                ["tokio::process详解", "异步进程模式", "与标准库对比", "完整示例"],
            ),
            (
                "第三方库概览",
                300,
                [
                    "daemonize（守护进程化）",
                    "nix（Unix系统调用）",
                    "libc（底层C绑定）",
                    "sysinfo（系统信息）",
                    "procfs（/proc文件系统）",
                    "caps（Capabilities）",
                    "users（用户/组管理）",
                ],
            ),
            ("库对比分析", 150, ["功能对比矩阵", "性能对比", "平台兼容性", "维护状态"]),
            ("库选择指南", 150, ["决策矩阵", "使用场景推荐", "推荐配置组合"]),
            ("实战案例", 100, ["完整系统实现（多库集成）", "生产级配置"]),
            ("最佳实践", 50, ["依赖管理", "版本控制", "安全更新"]),
        ],
    ),
}
STUBS = {"03": 75, "04": 83, "05": 74}


@pytest.fixture(scope="module")
def book() -> Book:
    return read_book(ROOT / "outlines" / "book.yaml", root=ROOT)


def outline(chapter: str) -> Outline:
    return read_outline(ROOT / "outlines" / f"{chapter}.yaml", root=ROOT, chapter_id=chapter)


@pytest.mark.parametrize("chapter", sorted(PLAN))
def test_an_outline_holds_the_whole_plan_of_its_chapter(chapter: str) -> None:
    title, source, sections = PLAN[chapter]
    found = outline(chapter)
    assert found.id == chapter
    assert found.title.say("zh") == title
    assert found.source == source
    assert found.stated_lines == 1000
    assert found.priority == "high"
    assert found.hours == 1.5
    assert (found.quality.code_examples, found.quality.code_language) == (30, "rust")
    assert [
        (section.title.say("zh"), section.lines, [topic.say("zh") for topic in section.topics])
        for section in found.sections
    ] == sections
    assert [section.number for section in found.sections] == list(range(1, len(sections) + 1))


def test_the_sections_add_up_as_the_plan_does() -> None:
    assert {chapter: outline(chapter).target_lines for chapter in PLAN} == {
        "03": 1025,
        "04": 1000,
        "05": 1000,
    }
    assert [len(outline(chapter).sections) for chapter in PLAN] == [8, 7, 6]
    assert [sum(len(s.topics) for s in outline(c).sections) for c in PLAN] == [19, 20, 23]


@pytest.mark.parametrize("chapter", sorted(PLAN))
def test_every_text_is_given_in_both_languages_and_the_english_is_english(chapter: str) -> None:
    found = outline(chapter)
    for section in found.sections:
        for text in (section.title, *section.topics):
            assert set(text.by_language) == {"zh", "en"}
            assert not re.search(r"[\u3000-\u9fff\uff00-\uffef]", text.say("en"))


def test_the_only_warnings_are_the_sum_of_chapter_03_and_the_examples_promised(book: Book) -> None:
    warnings = [
        str(warning)
        for chapter in PLAN
        for warning in lint(outline(chapter), book, ROOT / "outlines" / f"{chapter}.yaml", root=ROOT)
    ]
    crowded = "11:18: warning: 30 code examples of about 20 lines leave"
    assert warnings == [
        "outlines/03.yaml:4:15: warning: the sections add up to 1,025 lines, target_lines says 1,000; "
        "1,025 are drafted",
        f"outlines/03.yaml:{crowded} 14 lines of text for each in 1,025 lines; 29 would fit",
        *(
            f"outlines/{one}.yaml:{crowded} 13 lines of text for each in 1,000 lines; 28 would fit"
            for one in ("04", "05")
        ),
    ]


def test_the_book_records_what_the_report_says(book: Book) -> None:
    assert book.title.by_language == {"zh": "C07 进程管理", "en": "C07 Process Management"}
    assert (book.language, book.languages) == ("en", ("en", "zh"))
    assert book.allowance == Allowance(tokens=1_000_000)
    assert book.audience is not None
    assert len(book.house_rules) >= 4
    assert all(set(rule.by_language) == {"zh", "en"} for rule in book.house_rules)
    assert [(tier.id, tier.lines, tier.target_lines) for tier in book.tiers] == [
        ("1", 5175, 4376),
        ("2", 8301, 7500),
        ("3", 5048, 6233),
        ("4", None, 7500),
    ]
    (opening,) = book.openings
    assert (opening.chapters, opening.tokens, opening.hours) == (("01", "02"), 165_000, 2.0)
    assert [(c.id, c.tier, c.lines_before, c.lines, c.target_lines, c.finished) for c in book.chapters] == [
        ("01", "4", 132, 1509, 1500, True),
        ("02", "4", 82, 1040, 1250, True),
        ("03", "4", None, 75, 1000, False),
        ("04", "4", None, 83, 1000, False),
        ("05", "4", None, 74, 1000, False),
    ]
    assert [c.title.say("zh") for c in book.chapters] == [
        "高级进程管理",
        "安全与沙箱",
        "性能工程实践",
        "测试与基准",
        "现代进程库",
    ]
    assert [c.source for c in book.chapters[2:]] == [PLAN[c.id][1] for c in book.chapters[2:]]


def test_the_forecast_of_the_report_can_be_drawn_from_the_book(book: Book) -> None:
    done = sum(chapter.lines or 0 for chapter in book.chapters if chapter.finished)
    planned = sum(chapter.target_lines or 0 for chapter in book.chapters if not chapter.finished)
    others = sum(tier.lines or 0 for tier in book.tiers)
    targets = sum(tier.target_lines for tier in book.tiers)
    assert (done, planned) == (2549, 3000)
    assert round(Decimal(done + planned) / 7500 * 100, 1) == Decimal("74.0")
    assert others + done + planned == 24_073
    assert round(Decimal(24_073) / targets * 100, 1) == Decimal("94.0")


def test_the_schemas_accept_what_is_shipped() -> None:
    outlines = jsonschema.Draft202012Validator(OUTLINE.schema)
    books = jsonschema.Draft202012Validator(BOOK.schema)
    folder = ROOT / "outlines"
    assert books.is_valid(yaml.safe_load((folder / "book.yaml").read_text(encoding="utf-8")))
    for chapter in PLAN:
        text = (folder / f"{chapter}.yaml").read_text(encoding="utf-8")
        assert outlines.is_valid(yaml.safe_load(text)), chapter


@pytest.mark.parametrize("chapter", sorted(STUBS))
def test_a_stub_has_its_lines_code_that_parses_and_links_that_lead_somewhere(chapter: str) -> None:
    path = ROOT / outline(chapter).source
    text = path.read_text(encoding="utf-8")
    assert text.count("\n") == STUBS[chapter]
    assert text.startswith("# ")
    assert text.splitlines()[2].startswith("> **Type**: ")
    blocks = re.findall(r"^```rust\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert len(blocks) >= (3 if chapter == "03" else 2)
    parser = Parser(Language(rust()))
    for block in blocks:
        assert not parser.parse(block.encode()).root_node.has_error
    assert text.count("```") == 2 * len(blocks)
    links = re.findall(r"\]\(([^)#]+)", text)
    assert links
    for link in links:
        assert (path.parent / link).is_file(), link


def test_the_overview_leads_to_every_stub() -> None:
    text = (ROOT / "chapters" / "README.md").read_text(encoding="utf-8")
    for chapter in PLAN:
        assert f"({Path(outline(chapter).source).name})" in text
    assert all((ROOT / "chapters" / link).is_file() for link in re.findall(r"\]\(([^)]+)\)", text))
