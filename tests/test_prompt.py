"""Prompts: each template rendered as it was agreed, using what is declared and nothing else.

``python tests/test_prompt.py`` writes the golden renderings anew; look at the difference then.
"""

from __future__ import annotations

import tomllib
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import jinja2
import jinja2.meta
import pytest

from expand.errors import InputError
from expand.prompts.context import (
    BriefContext,
    ChangeContext,
    ChapterContext,
    RequestContext,
    ReviewContext,
    SectionContext,
    SuggestionContext,
    TranslationContext,
    context_of,
)
from expand.prompts.rendering import DRAFTING_TEMPLATES, Prompts, packaged_folder

GOLDEN = Path(__file__).parent / "golden" / "prompts"
FOLDER = packaged_folder()
HOUSE_STYLES = ("tutorial", "reference")

CHAPTER = ChapterContext(
    brief="edition: '2024'",
    cites=True,
    references="[R1] src/worker.rs:3-7\n/// Stops the worker.\npub fn stop_worker() {}",
    memory="- work queue: jobs that wait (never: job queue)",
    voice="## Starting workers\n\nYou start a worker first.",
    language="en",
    language_name="English",
    book_title="C07 Process Management",
    chapter_id="03",
    chapter_title="Performance engineering in practice",
    audience="Experienced Rust systems programmers",
    house_rules=("Name the version of every crate.", "Give the principle first."),
    glossary={"zero copy": "moving data without copying it"},
    code_examples=30,
    code_language="rust",
    sections=(
        SectionContext(number=1, title="Methods", topics=("Metrics", "Goals"), share=60),
        SectionContext(number=2, title="Best practices", topics=(), share=40),
    ),
    code_check=True,
)
BARE_CHAPTER = replace(
    CHAPTER,
    audience="",
    house_rules=(),
    glossary={},
    code_examples=0,
    code_language="",
    code_check=False,
    numbered=False,
    brief="",
    cites=False,
    references="",
    memory="",
    voice="",
)
REQUEST = RequestContext(
    language="en",
    audience="Experienced Rust systems programmers",
    chapter_id="03",
    chapter_title="Performance engineering in practice",
    section_number=2,
    section_title="Profiling tools",
    topics=("The perf tool",),
    lines=42,
)
FULL = replace(
    REQUEST,
    topics=("The perf tool", "Flame graphs"),
    previous_section="Methods",
    section_note="Say what needs root.",
    source_material="Measure before changing anything.",
    before="perf samples the stack.\nIt needs no recompilation.",
    standing="types Sample; functions record",
    open_fence="```rust",
    aspect="common mistakes",
    code_examples=2,
    instruction="more on perf c2c",
    present="The text as it is.",
    opening="With the goals set, this section measures.",
    section_brief="relies_on:\n- Worker from section 1",
    section_references="[R2] docs/stop.md:3\nIt waits.",
    must_cite=("A worker stops within five seconds.",),
    problems=("line 3: the code does not parse; mend it", "line 9: said twice; leave it out"),
)
BRIEF = BriefContext(
    chapter_id="03",
    chapter_title="Performance engineering in practice",
    language="en",
    language_name="English",
    lines=1000,
    unit="lines",
    code_examples=28,
    code_language="rust",
    sections=(
        SectionContext(number=1, title="Methods", topics=("Metrics", "Goals"), share=60, lines=600, material="So."),
        SectionContext(number=2, title="Best practices", topics=(), share=40, lines=400),
    ),
)
BRIEF_AGAIN = replace(
    BRIEF,
    code_examples=0,
    references="[R7] docs/stop.md:3\nIt waits.",
    present="No.",
    problems=('there is no list "sections"',),
)
TRANSLATION = TranslationContext(
    chapter_title="Performance engineering in practice",
    language="zh",
    language_name="Chinese (简体中文)",
    original_language_name="English",
    glossary={"flame graph": "火焰图"},
    passages=("Measure before changing anything.", "A flame graph shows `perf` samples."),
)
SUGGESTION = SuggestionContext(
    language="en",
    language_name="English",
    book_title="C07 Process Management",
    audience="",
    house_rules=(),
    chapter_id="06",
    chapter_title="Signals",
    lines=42,
    least_sections=4,
    most_sections=12,
)
SUGGESTION_FULL = replace(
    SUGGESTION,
    language="zh",
    language_name="Chinese (简体中文)",
    audience="Experienced Rust systems programmers",
    house_rules=("Name the version of every crate.",),
    other_chapters=("Pipes", "Sandboxing"),
    headings=("信号掩码",),
    source_material="Measure before changing anything.",
    present='{"sections": []}',
    problems=("there are no sections; give 4 to 12",),
)
REVIEW = ReviewContext(
    language_name="English",
    kinds={"contradiction": "two places contradict each other", "seam": "a passage does not follow"},
    most=14,
    sections=(
        SectionContext(number=1, title="Methods", topics=(), share=0, material="## 1. Methods\n\nMeasure first."),
        SectionContext(number=2, title="Best practices", topics=(), share=0, material="## 2. Best practices\n\nSo."),
    ),
)
CHANGE = ChangeContext(
    finding=1, kind="contradiction", section=2, problem="Section 1 says 3.", before="It starts 4.", after="It starts 3."
)
SECOND_LOOK = replace(
    REVIEW,
    sections=(),
    changes=(
        CHANGE,
        replace(CHANGE, section=1, before="With 4", after=""),
        replace(CHANGE, finding=2, after=None),
        replace(CHANGE, finding=3, after=None, obstacle="the section was edited by hand"),
    ),
)
WHOLE: dict[str, Any] = {"opens_section": True, "closes_section": True}
Context = ChapterContext | RequestContext | SuggestionContext | BriefContext | ReviewContext | TranslationContext
CASES: dict[str, tuple[str, str | None, Context]] = {
    "brief_suggest": ("suggest.j2", "brief", replace(SUGGESTION, headings=("Masks",))),
    "brief": ("brief.j2", None, BRIEF),
    "translate": ("translate.j2", None, TRANSLATION),
    "translate_again": (
        "translate.j2",
        None,
        replace(TRANSLATION, glossary={}, problems=("[[2]] x: it lacks `perf`",)),
    ),
    "brief_again": ("brief.j2", None, BRIEF_AGAIN),
    "review": ("review.j2", None, replace(REVIEW, references="[R7] docs/stop.md:3\nIt waits.")),
    "second_look": ("second_look.j2", None, SECOND_LOOK),
    "suggest": ("suggest.j2", None, SUGGESTION),
    "suggest_full": ("suggest.j2", None, SUGGESTION_FULL),
    "system": ("system.j2", None, CHAPTER),
    "system_bare": ("system.j2", None, BARE_CHAPTER),
    "system_no_code_language": ("system.j2", None, replace(CHAPTER, code_language="")),
    "system_python": ("system.j2", None, replace(BARE_CHAPTER, code_check=True, code_language="Python", beside="So.")),
    "section": ("section.j2", None, REQUEST),
    "section_full": ("section.j2", None, FULL),
    "section_zh": ("section.j2", None, replace(REQUEST, language="zh", topics=("perf工具",))),
    "section_without_topics": ("section.j2", None, replace(REQUEST, topics=(), code_examples=1)),
    "section_new_without_present": ("section.j2", None, replace(FULL, present="")),
    "continue": ("continue.j2", None, replace(REQUEST, before="It needs no recompilation.")),
    "continue_full": ("continue.j2", None, FULL),
    "repair": ("repair.j2", None, FULL),
    "repair_without_topics": ("repair.j2", None, replace(FULL, topics=())),
    "length": ("length.j2", None, REQUEST),
    "length_zh": ("length.j2", None, replace(REQUEST, language="zh")),
    "brief_system": ("system.j2", "brief", CHAPTER),
    "brief_section": ("section.j2", "brief", REQUEST),
    "brief_section_full": ("section.j2", "brief", replace(FULL, topics=())),
    "brief_continue": ("continue.j2", "brief", replace(REQUEST, before="x" * 400)),
    "brief_continue_full": ("continue.j2", "brief", replace(FULL, topics=())),
}
for _style in HOUSE_STYLES:
    CASES |= {
        f"{_style}_system": ("system.j2", f"styles/{_style}", CHAPTER),
        f"{_style}_system_zh": ("system.j2", f"styles/{_style}", replace(CHAPTER, language="zh")),
        f"{_style}_section": ("section.j2", f"styles/{_style}", replace(REQUEST, **WHOLE)),
        f"{_style}_section_zh": (
            "section.j2",
            f"styles/{_style}",
            replace(REQUEST, **WHOLE, language="zh"),
        ),
        f"{_style}_section_within": ("section.j2", f"styles/{_style}", FULL),
        f"{_style}_continue": ("continue.j2", f"styles/{_style}", replace(REQUEST, before="So.")),
        f"{_style}_continue_zh": (
            "continue.j2",
            f"styles/{_style}",
            replace(REQUEST, before="So.", language="zh"),
        ),
        f"{_style}_brief_system": ("system.j2", f"styles/{_style}/brief", CHAPTER),
    }


def rendered(case: str) -> str:
    name, folder, context = CASES[case]
    parts = (folder or "").removeprefix("styles/").split("/")
    house = parts.pop(0) if (folder or "").startswith("styles/") else None
    prompts = Prompts(None, style="".join(parts) or None, house_style=house)
    return prompts.message(name, context).content


@pytest.mark.parametrize("case", CASES)
def test_each_template_renders_as_agreed(case: str) -> None:
    assert rendered(case) + "\n" == (GOLDEN / f"{case}.txt").read_text(encoding="utf-8")


def test_each_template_has_a_golden_rendering() -> None:
    shipped = {path.relative_to(FOLDER).as_posix() for path in FOLDER.rglob("*.j2")}
    assert {f"{style}/{name}" if style else name for name, style, _ in CASES.values()} == shipped
    notes = tomllib.loads((Path(__file__).parents[1] / "docs/templates.toml").read_text(encoding="utf-8"))
    assert set(notes["purposes"]) == {name for name in shipped if "/" not in name}
    assert {name.split("/")[1] for name in shipped if name.startswith("styles")} == {*HOUSE_STYLES}
    assert {path.stem for path in GOLDEN.iterdir()} == set(CASES)


def used_by(path: Path) -> set[str]:
    return jinja2.meta.find_undeclared_variables(jinja2.Environment().parse(path.read_text()))


@pytest.mark.parametrize("path", sorted(FOLDER.rglob("*.j2")), ids=str)
def test_a_template_uses_only_what_is_declared(path: Path) -> None:
    assert used_by(path) <= {field.name for field in fields(context_of(path.name))}


def test_all_that_is_declared_is_used_or_left_to_the_user() -> None:
    used: dict[type, set[str]] = {}
    for path in FOLDER.rglob("*.j2"):
        used.setdefault(context_of(path.name), set()).update(used_by(path))
    spare = {
        kind: {field.name for field in fields(kind)} - used[kind]
        for kind in (
            *(ChapterContext, RequestContext, SuggestionContext, BriefContext),
            *(ReviewContext, TranslationContext),
        )
    }
    assert spare == {
        BriefContext: {"chapter_id", "chapter_title", "language"},
        ChapterContext: set(),
        RequestContext: {"audience", "chapter_title"},
        ReviewContext: set(),
        SuggestionContext: set(),
        TranslationContext: {"language"},
    }


@pytest.mark.parametrize(
    "case",
    [
        case
        for case, (name, _, _) in CASES.items()
        if name not in ("system.j2", "brief.j2", "translate.j2", "review.j2", "second_look.j2")
    ],
)
def test_the_last_figure_is_the_lines_wanted(case: str) -> None:
    context = CASES[case][2]
    assert not isinstance(context, ReviewContext)
    unit = "行" if context.language == "zh" else "lines"
    assert rendered(case).rstrip(".。").endswith(f" 42 {unit}")


def user(tmp_path: Path, **templates: str) -> Path:
    for name, text in templates.items():
        path = tmp_path / f"{name.replace('__', '/')}.j2"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    return tmp_path


def test_the_users_folder_comes_before_the_packaged_one(tmp_path: Path) -> None:
    prompts = Prompts(user(tmp_path, section="{{ topics[0] }}: {{ lines }} lines"))
    assert prompts.message("section.j2", REQUEST).content == "The perf tool: 42 lines"
    assert prompts.sources("section.j2")[0] == tmp_path / "section.j2"
    assert prompts.message("continue.j2", REQUEST).content == rendered("continue").replace(
        "It needs no recompilation.", ""
    )
    assert prompts.sources("system.j2")[0] == FOLDER / "system.j2"


def test_a_kind_of_model_comes_before_both(tmp_path: Path) -> None:
    plain, brief = "Plain: {{ lines }} lines", "Brief and mine: {{ lines }} lines"
    folder = user(tmp_path, section=plain, brief__continue=brief)
    prompts = Prompts(folder, style="brief")
    assert prompts.message("continue.j2", REQUEST).content == "Brief and mine: 42 lines"
    assert prompts.message("section.j2", REQUEST).content == rendered("brief_section")
    assert Prompts(folder).message("section.j2", REQUEST).content == "Plain: 42 lines"
    assert prompts.sources("repair.j2")[0] == FOLDER / "repair.j2", "it need not have them all"


def test_the_packaged_include_may_be_replaced_alone(tmp_path: Path) -> None:
    prompts = Prompts(user(tmp_path, length="Just {{ lines }} lines."))
    assert prompts.message("section.j2", REQUEST).content.endswith("Just 42 lines.")


def test_the_fingerprint_changes_with_any_template(tmp_path: Path) -> None:
    packaged = Prompts(None).fingerprint()
    assert len(packaged) == 64
    assert Prompts(tmp_path).fingerprint() == packaged
    seen = {packaged, Prompts(None, style="brief").fingerprint()}
    for name in DRAFTING_TEMPLATES:
        folder = tmp_path / name.partition(".")[0]
        folder.mkdir()
        (folder / name).write_text((FOLDER / name).read_text() + "\n")
        prompts = Prompts(folder)
        seen.add(prompts.fingerprint())
        assert prompts.fingerprint() == prompts.fingerprint()
    assert len(seen) == 2 + len(DRAFTING_TEMPLATES)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "one\n{{ sectoin_title }}\n",
            ":2: template: 'sectoin_title' is undefined; did you mean \"section_title\"?",
        ),
        (
            "one\n\n{{ glossary }}",
            ":3: template: 'glossary' is undefined; ",
        ),
        ("\n\n{{ topics.first.x }}\n", ":3: template: "),
        ("{% if lines %}\n", ":1: template syntax: Unexpected end of template"),
        ("one\n{{ lines +* 2 }}\n", ":2: template syntax: "),
        ("one\n{{ lines / 0 }}\n", ":2: template: division by zero"),
        ("{{ lines + topics }}\n", ":1: template: unsupported operand"),
        ("{{ topics[0].__class__ }}\n", ":1: template: access to attribute '__class__'"),
        ('{% include "lenght.j2" %}\n', ":1: the template takes text from lenght.j2, which "),
        ("{{ topics|random }}\n", ":1: template syntax: No filter named 'random'"),
        ("{{ lipsum() }}\n", ":1: template: 'lipsum' is undefined"),
    ],
)
def test_a_mistake_in_a_template_is_named_by_file_and_line(tmp_path: Path, text: str, message: str) -> None:
    prompts = Prompts(user(tmp_path, section=text))
    with pytest.raises(InputError) as caught:
        prompts.message("section.j2", REQUEST)
    assert str(caught.value).startswith(f"{tmp_path / 'section.j2'}{message}")
    assert caught.value.remedy


def test_a_mistake_in_an_included_template_is_named_there(tmp_path: Path) -> None:
    prompts = Prompts(user(tmp_path, length="one\n{{ linse }}\n"))
    with pytest.raises(InputError) as caught:
        prompts.message("section.j2", REQUEST)
    assert str(caught.value).startswith(f"{tmp_path / 'length.j2'}:2: template: 'linse' is undef")
    broken = Prompts(user(tmp_path, length="one\n{{ lines\n"))
    with pytest.raises(InputError) as caught:
        broken.message("section.j2", REQUEST)
    assert str(caught.value).startswith(f"{tmp_path / 'length.j2'}:")


def test_a_template_that_does_not_exist() -> None:
    with pytest.raises(InputError, match=r"there is no template poem\.j2; add it to"):
        Prompts(None).sources("poem.j2")[0]
    with pytest.raises(InputError, match=r"there is no template poem\.j2"):
        Prompts(None).message("poem.j2", REQUEST)


def test_the_sandbox_holds(tmp_path: Path) -> None:
    code = "{{ ''.__class__.__mro__[1].__subclasses__() }}"
    with pytest.raises(InputError, match="access to attribute '__class__'"):
        Prompts(user(tmp_path, section=code)).message("section.j2", REQUEST)


if __name__ == "__main__":
    GOLDEN.mkdir(parents=True, exist_ok=True)
    for written in CASES:
        (GOLDEN / f"{written}.txt").write_text(rendered(written) + "\n", encoding="utf-8")
