"""Which template counts: a chapter's, its house style's, the book's, the shipped one; and what each
of them takes from the next.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from scripted_server import ScriptedServer
from test_prompt import CHAPTER, REQUEST
from workspaces import expand, small

from expand.errors import InputError, InputErrors, Place
from expand.outline import Style
from expand.prompts.rendering import Prompts, TemplateLookup, known_styles, packaged_folder

FOLDER = packaged_folder()
EXTENDS = '{% extends "section.j2" %}'


def put(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def asked(prompts: Prompts) -> str:
    return prompts.message("section.j2", REQUEST).content


def system(folder: Path | None, style: str | None, chapter: str = "03") -> str:
    house = Style(name=style) if style else None
    return Prompts(folder).of(chapter, house).message("system.j2", CHAPTER).content


def test_the_order_is_chapter_style_book_shipped(tmp_path: Path) -> None:
    lookup = TemplateLookup(tmp_path, house_style="tutorial", chapter="04")
    assert lookup.candidates("section.j2") == (
        FOLDER / "styles/tutorial/section.j2",
        FOLDER / "section.j2",
    )
    book = put(tmp_path, "section.j2", "")
    style = put(tmp_path, "styles/tutorial/section.j2", "")
    chapter = put(tmp_path, "chapters/04/section.j2", "")
    lookup = TemplateLookup(tmp_path, house_style="tutorial", chapter="04")
    found = lookup.candidates("section.j2")
    assert found == (
        chapter,
        style,
        FOLDER / "styles/tutorial/section.j2",
        book,
        FOLDER / "section.j2",
    )
    assert TemplateLookup(tmp_path, chapter="03").candidates("section.j2") == (
        book,
        FOLDER / "section.j2",
    )


def test_a_file_for_the_model_comes_before_every_plain_one(tmp_path: Path) -> None:
    chapter = put(tmp_path, "chapters/04/section.j2", "")
    lookup = TemplateLookup(tmp_path, model_style="brief", house_style="tutorial", chapter="04")
    assert lookup.candidates("section.j2")[:2] == (FOLDER / "brief/section.j2", chapter)
    own = put(tmp_path, "chapters/04/brief/section.j2", "")
    assert lookup.find("section.j2") == FOLDER / "brief/section.j2", "as it was when the run began"
    lookup = TemplateLookup(tmp_path, model_style="brief", house_style="tutorial", chapter="04")
    assert lookup.find("section.j2") == own


@pytest.mark.parametrize("name", ["../secret", "/etc/passwd", "a/../../b", "..\\b", "C:/x"])
def test_a_name_that_leads_out_is_no_template(tmp_path: Path, name: str) -> None:
    put(tmp_path, "secret", "secret")
    assert TemplateLookup(tmp_path / "prompts").candidates(name) == ()
    prompts = Prompts(put(tmp_path / "prompts", "section.j2", f'{{% include "{name}" %}}'.replace("\\", "\\\\")).parent)
    with pytest.raises(InputError, match="takes text from"):
        asked(prompts)


def test_one_block_is_changed_and_the_rest_stays(tmp_path: Path) -> None:
    put(tmp_path, "section.j2", EXTENDS + "{% block code %}Two examples.\n{% endblock %}")
    assert asked(Prompts(tmp_path)) == asked(Prompts(None)).replace(
        "only: The perf tool\n", "only: The perf tool\nTwo examples.\n"
    )


def test_each_template_extends_the_next_in_the_order(tmp_path: Path) -> None:
    def block(word: str) -> str:
        return EXTENDS + "{% block code %}{{ super() }}" + word + "\n{% endblock %}"

    put(tmp_path, "section.j2", block("book"))
    put(tmp_path, "styles/terse/section.j2", block("style"))
    put(tmp_path, "chapters/04/section.j2", block("chapter"))
    prompts = Prompts(tmp_path).of("04", Style(name="terse"))
    assert "\nbook\nstyle\nchapter\n" in asked(prompts)
    assert asked(Prompts(tmp_path).of("03", None)).count("\nbook\n\nWrite 42 lines.") == 1


def test_a_circle_is_named(tmp_path: Path) -> None:
    put(tmp_path, "chapters/04/section.j2", '{% extends "mine.j2" %}')
    put(tmp_path, "mine.j2", '{% extends "section.j2" %}')
    with pytest.raises(InputError, match="takes text from itself, without end"):
        asked(Prompts(tmp_path).of("04", None))


def test_the_house_styles_say_different_things() -> None:
    assert known_styles(None) == ("plain", "reference", "tutorial")
    plain, tutorial, reference = (system(None, s) for s in ("plain", "tutorial", "reference"))
    assert plain == system(None, None), "without a style, nothing is said of one"
    assert "Style:" not in plain
    assert "worked example" in tutorial
    assert "no tables of parameters" in tutorial
    assert "into tables" in reference
    assert "**See also:**" in reference
    assert "Try it" not in reference


def test_a_style_of_ones_own_is_a_folder(tmp_path: Path) -> None:
    text = '{% extends "system.j2" %}{% block style %}\nStyle: sonnets.\n{% endblock %}'
    put(tmp_path, "styles/verse/system.j2", text)
    assert "verse" in known_styles(tmp_path)
    assert "\nStyle: sonnets.\n" in system(tmp_path, "verse")


def test_a_style_that_there_is_not_is_named_where_it_stands() -> None:
    place = Place(path="outlines/03.yaml", line=4, column=8)
    with pytest.raises(InputError) as caught:
        Prompts(None).of("03", Style(name="tutorail", place=place))
    assert str(caught.value).startswith(
        "outlines/03.yaml:4:8: there is no style 'tutorail'; did you mean \"tutorial\"?"
    )


def test_chapters_without_files_of_their_own_share_their_templates(tmp_path: Path) -> None:
    put(tmp_path, "chapters/04/section.j2", EXTENDS)
    prompts = Prompts(tmp_path)
    assert prompts.of("03", None) is prompts.of("05", None)
    assert prompts.of("03", None) is not prompts.of("04", None)
    assert prompts.of("03", Style(name="plain")) is prompts.of("03", None)


def test_a_chapters_key_sees_only_the_templates_that_count_for_it(tmp_path: Path) -> None:
    def keys() -> list[str]:
        prompts = Prompts(tmp_path)
        return [prompts.of(chapter, None).fingerprint() for chapter in ("03", "04")]

    before = keys()
    assert before == [Prompts(None).fingerprint()] * 2
    put(tmp_path, "chapters/04/section.j2", EXTENDS)
    assert keys()[0] == before[0]
    assert keys()[1] != before[1]
    put(tmp_path, "styles/mine/section.j2", "{{ lines }} lines")
    put(tmp_path, "brief/section.j2", "{{ lines }} lines")
    assert keys()[0] == before[0], "a style that the chapter does not have"
    put(tmp_path, "length.j2", "Write {{ lines }} lines, no fewer.")
    assert keys()[0] != before[0]


def test_a_key_sees_what_a_template_takes_text_from(tmp_path: Path) -> None:
    put(tmp_path, "mine.j2", "one")
    put(tmp_path, "section.j2", '{% include "mine.j2" %} {{ lines }} lines')
    before = Prompts(tmp_path).fingerprint()
    put(tmp_path, "mine.j2", "two")
    after = Prompts(tmp_path).fingerprint()
    assert before != after
    put(tmp_path, "section.j2", "{% include 'mi' ~ 'ne.j2' %} {{ lines }} lines")
    named_late = Prompts(tmp_path).fingerprint()
    put(tmp_path, "mine.j2", "three")
    assert Prompts(tmp_path).fingerprint() != named_late


@pytest.mark.parametrize("style", ["plain", "tutorial", "reference"])
@pytest.mark.parametrize("model", [None, "brief"])
@pytest.mark.parametrize("language", ["en", "zh", "de"])
def test_the_shipped_templates_pass_their_check(style: str, model: str | None, language: str) -> None:
    Prompts(None, style=model).of("03", Style(name=style)).check(language)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        (
            "section.j2",
            "{% if aspect %}\n{{ aspct }}{% endif %}{{ lines }} lines",
            "section.j2:2: template: 'aspct' is undefined; did you mean \"aspect\"?",
        ),
        (
            "system.j2",
            "\n{{ section_title }}",
            "system.j2:2: template: 'section_title' is undefined; ",
        ),
        (
            "section.j2",
            "{{ aspect|titel }}{{ lines }} lines",
            "section.j2:1: template syntax: No filter named 'titel'",
        ),
        (
            "repair.j2",
            "Mend it.",
            "repair.j2: template: a request has to end on its 4,217 lines; it states none; ",
        ),
        (
            "continue.j2",
            'Write {{ lines }} lines after this:\n{{ before or "" }}',
            "continue.j2: template: a request has to end on its 4,217 lines; the last such figure is 80 字; ",
        ),
        (
            "length.j2",
            "Write about {{ lines }} words.",
            "section.j2: template: a request has to end on its 4,217 lines; the last such figure is "
            '4,217 words; end it on {% include "length.j2" %}, or on {{ lines }} lines',
        ),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_sent(tmp_path: Path, name: str, text: str, message: str) -> None:
    place = small(tmp_path)
    put(place / "prompts", name, text)
    with ScriptedServer() as server:
        ran = expand(place, "chapter", "07", "--base-url", server.base_url)
    assert ran.code == 2
    assert message in ran.err
    assert server.requests == []


def test_all_unknown_names_are_said_at_once(tmp_path: Path) -> None:
    put(tmp_path, "section.j2", "{{ one }}\n{{ two }}{{ one }} {{ lines }} lines")
    put(tmp_path, "system.j2", "{% for s in sections %}{{ s.titel }}{% endfor %}{{ three }}")
    with pytest.raises(InputErrors) as caught:
        Prompts(tmp_path).check("en")
    said = [str(error).partition("template: ")[2] for error in caught.value.errors]
    assert [text.split()[0] for text in said] == ["'three'", "'one'", "'two'"]
    put(tmp_path, "system.j2", "{% for s in sections %}{{ s.titel }}{% endfor %}")
    with pytest.raises(InputError, match="nothing here has 'titel'"):
        Prompts(tmp_path).message("system.j2", CHAPTER)


def test_a_template_may_name_what_is_not_there(tmp_path: Path) -> None:
    text = '{% include "mine.j2" ignore missing %}{% include "length.j2" %}'
    put(tmp_path, "section.j2", text)
    prompts = Prompts(tmp_path)
    prompts.check("en")
    assert [path.name for path in prompts.sources("section.j2")] == ["section.j2", "length.j2"]
    put(tmp_path, "repair.j2", "{% if %}")
    with pytest.raises(InputError, match=r"repair\.j2:1: template syntax: "):
        Prompts(tmp_path).fingerprint()


def test_names_that_a_template_sets_or_tests_are_its_own(tmp_path: Path) -> None:
    text = (
        "{% set mine = 1 %}{% macro m(x) %}{{ x }}{{ caller() }}{% endmacro %}{{ mine }}"
        "{% if other is defined %}{{ other }}{% endif %}{% for t in topics %}{{ t }}"
        "{{ loop.index }}{% endfor %}{{ range(3)|join }} {{ lines }} lines"
    )
    put(tmp_path, "section.j2", text)
    Prompts(tmp_path).check("en")


def test_a_template_that_cannot_be_read(tmp_path: Path) -> None:
    path = tmp_path / "section.j2"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match="byte 0 is not UTF-8; save the file") as caught:
        Prompts(tmp_path).check("en")
    assert caught.value.place == Place(path=path, line=1)


def drafted(place: Path, server: ScriptedServer) -> dict[str, int]:
    """Requests by chapter of one run."""
    before = len(server.requests)
    ran = expand(place, "chapter", "--all", "--base-url", server.base_url)
    assert ran.code in (0, 5), ran.err
    sent = [r.headers["X-Client-Request-Id"].partition("/")[0] for r in server.requests[before:]]
    return {chapter: sent.count(chapter) for chapter in ("07", "08")}


def test_a_change_redraws_just_what_it_concerns(tmp_path: Path) -> None:
    place = small(tmp_path)
    outline = (place / "outlines/07.yaml").read_text(encoding="utf-8")
    other = put(place, "outlines/08.yaml", outline.replace("07", "08").replace("ignals", "ocks"))
    with ScriptedServer() as server:
        first = drafted(place, server)
        assert min(first.values()) > 0
        assert drafted(place, server) == {"07": 0, "08": 0}
        same = put(place / "prompts", "chapters/07/section.j2", EXTENDS)
        assert drafted(place, server) == {"07": 0, "08": 0}, "the same words are not bought again"
        same.write_text(EXTENDS + "{% block code %}Show how.\n{% endblock %}", encoding="utf-8")
        changed = drafted(place, server)
        assert changed["07"] > 0
        assert changed["08"] == 0
        other.write_text(other.read_text(encoding="utf-8") + "style: reference\n", encoding="utf-8")
        changed = drafted(place, server)
        assert changed["07"] == 0
        assert changed["08"] > 0
        assert "Style: a reference." in server.requests[-1].body["messages"][0]["content"]
        book = place / "outlines/book.yaml"
        book.write_text(book.read_text(encoding="utf-8") + "style: tutorial\n", encoding="utf-8")
        changed = drafted(place, server)
        assert changed["07"] > 0, "the book's style is that of chapters that name none"
        assert changed["08"] == 0


def test_a_wrong_style_is_named_by_file_and_line(tmp_path: Path) -> None:
    place = small(tmp_path)
    book = place / "outlines/book.yaml"
    lines = book.read_text(encoding="utf-8").count("\n") + 1
    book.write_text(book.read_text(encoding="utf-8") + "style: referense\n", encoding="utf-8")
    message = f"outlines/book.yaml:{lines}:8: there is no style 'referense'; did you mean \"reference\"?"
    for command in (("chapter", "07", "--dry-run"), ("outline", "check")):
        ran = expand(place, *command)
        assert ran.code == 2
        assert message in ran.err + ran.out
