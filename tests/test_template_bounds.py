"""Templates that multiply text or go on for ever: refused, with file and line, within seconds."""

from __future__ import annotations

import time
import tracemalloc
from dataclasses import replace
from pathlib import Path

import pytest
from workspaces import expand, small

from expand.errors import InputError
from expand.prompts.context import SAMPLES
from expand.prompts.rendering import MOST_CHARACTERS, Prompts
from expand.prompts.template_sandbox import ITEM, MOST_BITS, STEP, UNITS, MeteredEnvironment, TooMuchError

TOO_MUCH = "it multiplies text, or loops, beyond all bounds; repeat less, and join shorter texts"
TOO_DEEP = "its brackets or blocks are nested too deeply; flatten it"
ITSELF = "the template takes text from itself, without end"

ENDLESS = [
    '{{ "x" * 1000000000 }}',
    '{{ 1000000000 * "x" }}',
    "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
    '{% set n = namespace(x="ab") %}{% for i in range(60) %}{% set n.x = n.x ~ n.x %}{% endfor %}',
    '{% set n = namespace(x="ab") %}{% for i in range(60) %}{% set n.x = n.x + n.x %}{% endfor %}',
    "{% set n = namespace(x=[1]) %}{% for i in range(60) %}{% set n.x = [n.x, n.x] %}{% endfor %}",
    "{% set n = namespace(x=(1,)) %}{% for i in range(60) %}{% set n.x = (n.x, n.x) %}{% endfor %}",
    "{% set n = namespace(x=3) %}{% for i in range(60) %}{% set n.x = n.x * n.x %}{% endfor %}",
    "{% macro m(n) %}{% if n %}{{ m(n-1) }}{{ m(n-1) }}{% endif %}{% endmacro %}{{ m(80) }}",
    '{{ "a"|indent(1000000000, first=true) }}',
    '{{ ("\\n" * 100000)|indent(100000, blank=true) }}',
    '{{ ("a" * 1000000)|replace("a", "b" * 1000000) }}',
    '{{ ("a" * 1000000).replace("a", "b" * 1000000) }}',
    '{{ ("a" * 1000000).join(range(99999)|map("string")) }}',
    '{{ range(99999)|join("a" * 1000000) }}',
    '{{ range(99999)|map("string")|join("a" * 1000000) }}',
    '{% set x = ["a" * 1000] * 1000 %}{{ ([x] * 1000)|string|length }}',
    "{% set n = namespace(x='ab') %}{% for i in range(60) %}{% set y %}{{ n.x }}{{ n.x }}{% endset %}"
    "{% set n.x = y %}{% endfor %}",
    '{{ range(99999)|map("string")|map("indent", 100000)|join }}',
    '{{ range(99999)|map("replace", "", "b" * 100000)|join }}',
    "{% filter indent(1000000000) %}x{% endfilter %}",
    "{% for i in range(99999) %}" + "text " * 2000 + "{% endfor %}",
    '{{ dict(a="x" * 10000000, b="x" * 10000000) }}',
    '{{ ("汉" * 15000000)|list }}',
    '{{ "x" * 7000000 }}',
    "{% for a in range(99999) %}{% for b in range(99999) if false %}{% endfor %}{% endfor %}",
    "{% set l = range(50000)|list %}{% for a in range(9999) %}{% set x = l|select('eq', -1)|list %}{% endfor %}",
    "{% for a in range(9999) %}{% set x = range(99999)|select('eq', -1)|list %}{% endfor %}",
    "{% set s = 'a' * 1000000 %}{% for a in range(9999) %}{% set x = 'b' in s %}{% endfor %}",
    "{% set s = 'a' * 1000000 %}{% for a in range(9999) %}{% set x = 'b' is in s %}{% endfor %}",
    "{% set s = 'a' * 1000000 %}{% for a in range(9999) %}{% set x = s.count('b') %}{% endfor %}",
    "{% set s = 'a' * 1000000 %}{% for a in range(9999) %}{% set x = s[1:] %}{% endfor %}",
    "{% set l = range(50000)|list %}{% for a in range(9999) %}{% set x = l.count(-1) %}{% endfor %}",
    "{% macro m() %}{{ caller() }}{{ caller() }}{% endmacro %}" + "{% call m() %}" * 30 + "x" + "{% endcall %}" * 30,
]


NOT_AVAILABLE = [
    ("{{ (10**10) ** (10**10) }}", "** is not available"),
    ('{{ "a"|center(1000000000) }}', "No filter named 'center'"),
    ('{{ range(99999)|map("center", 100000)|join }}', "No filter named 'center'"),
    ('{{ "%1000000000d"|format(1) }}', "No filter named 'format'"),
    ('{{ ["a"]|batch(1000000000, "x")|list }}', "No filter named 'batch'"),
    ("{{ [1]|tojson(indent=1000000000) }}", "No filter named 'tojson'"),
    ("{{ 1.5|round(1000000000, 'ceil') }}", "No filter named 'round'"),
    ('{{ "<b>"|striptags }}', "No filter named 'striptags'"),
    ('{{ "%1000000000d" % 1 }}', "% is not available for texts"),
    ('{{ "a".center(1000000000) }}', "access to attribute 'center' of 'str'"),
    ('{{ "{:1000000000d}".format(1) }}', "access to attribute 'format' of 'str'"),
    ('{{ "{:{}}".format(1, 1000000000) }}', "access to attribute 'format' of 'str'"),
    ('{{ "a".translate({97: "b" * 1000000}) }}', "access to attribute 'translate' of 'str'"),
    ('{{ 5 .to_bytes(1000000000, "big") }}', "access to attribute 'to_bytes' of 'int'"),
    ("{% set l = [1] %}{% set _ = l['append'](l) %}", "access to attribute 'append' of 'list'"),
    ("{{ ([[1] * 100] * 100)|sum }}", "unsupported operand"),
    ("{{ ([[1]])|sum(start=[]) }}", "unexpected keyword argument 'start'"),
]


def prompts_of(folder: Path, text: str, name: str = "section.j2") -> Prompts:
    (folder / name).write_text(f"first line\n{text}\n{{{{ lines }}}} lines\n", encoding="utf-8")
    return Prompts(folder)


@pytest.mark.parametrize("text", ENDLESS)
def test_a_template_without_end_is_refused_soon(tmp_path: Path, text: str) -> None:
    began = time.process_time()
    with pytest.raises(InputError) as raised:
        prompts_of(tmp_path, text).check("en")
    assert str(raised.value) == f"{tmp_path / 'section.j2'}:2: template: {TOO_MUCH}"
    assert time.process_time() - began < 10


@pytest.mark.parametrize(("text", "message"), NOT_AVAILABLE)
def test_what_would_grow_without_bounds_is_not_available(tmp_path: Path, text: str, message: str) -> None:
    began = time.process_time()
    with pytest.raises(InputError) as raised:
        prompts_of(tmp_path, text).check("en")
    assert str(raised.value).startswith(f"{tmp_path / 'section.j2'}:2: template")
    assert message in str(raised.value)
    assert time.process_time() - began < 10


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{% macro m(x) %}{{ m(x) }}{{ m(x) }}{% endmacro %}{{ m(1) }}", ITSELF),
        ("{% for i in range(5) recursive %}{{ loop(range(5)) }}{% endfor %}", ITSELF),
        (f"{{{{ {'(' * 990}1{')' * 990} }}}}", TOO_DEEP),
        (f"{{{{ {'[' * 990}{']' * 990} }}}}", TOO_DEEP),
        ("{% if 1 %}" * 300 + "x" + "{% endif %}" * 300, TOO_DEEP),
        ("{% for a in [1] %}" * 40 + "x" + "{% endfor %}" * 40, TOO_DEEP),
        (f"{{{{ 1{'+1' * 20_000} }}}}", TOO_DEEP),
        (f"{{{{ {'9' * 5000} }}}}", "Exceeds the limit (4300 digits)"),
        ("{{ '9' * 4999 }} lines {{ lines.x }}", "nothing here has 'x'"),
        ("{{ lipsum(100000) }}", "'lipsum' is undefined"),
        ("{% for a in range(1000000000) %}x{% endfor %}", "Range too big"),
        ('{{ "a"|indent([]) }}', "template: "),
        ("{{ [][1] }}", "template: "),
        ("{{ {}.x }}", "nothing here has 'x'"),
    ],
)
def test_other_faults_of_a_template_are_said(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError) as raised:
        prompts_of(tmp_path, text).check("en")
    assert message in str(raised.value)
    assert str(tmp_path / "section.j2") in str(raised.value)


def test_a_figure_of_a_million_digits_is_no_number_of_lines(tmp_path: Path) -> None:
    (tmp_path / "section.j2").write_text("{{ '7' * 1000000 }} lines, {{ lines }}{{ '0' * 5000 }} lines")
    began = time.process_time()
    with pytest.raises(InputError, match="has to end on its"):
        Prompts(tmp_path).check("en")
    assert time.process_time() - began < 5


def test_memory_stays_small(tmp_path: Path) -> None:
    prompts = prompts_of(
        tmp_path,
        "{% set n = namespace(l=[]) %}{% for i in range(99999) %}{% set n.l = [n.l, 'x' * 1000 ~ i] %}{% endfor %}",
    )
    tracemalloc.start()
    with pytest.raises(InputError, match="beyond all bounds"):
        prompts.check("en")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 100_000_000


def test_the_command_line_says_it_with_exit_2(tmp_path: Path) -> None:
    at = small(tmp_path)
    (at / "prompts").mkdir()
    (at / "prompts" / "section.j2").write_text('\n\n{{ "x" * 1000000000 }} {{ lines }} lines')
    ran = expand(at, "prompt", "show", "07", "--section", "1")
    assert (ran.code, ran.out) == (2, "")
    assert "section.j2:3: template: it multiplies text" in ran.err


# --- both sides of the bounds ----------------------------------------------------------------------


def rendered(text: str, **values: object) -> str:
    environment = MeteredEnvironment()
    environment.begin()
    return environment.from_string(text).render(**values)


@pytest.mark.parametrize(
    ("text", "most"),
    [
        ("{% for i in range(n) %}{% endfor %}", UNITS // STEP - 4),
        ("{% set x = 'x' * n %}", UNITS // 2),
        ("{{ [1] * n and '' }}", UNITS // (2 * ITEM) - 10),
        ("{% set x = 'x'|indent(n, first=true) %}", UNITS // 2 - 100),
        ("{% set x = 'x'.replace('x', 'x' * (n // 2)) %}", UNITS * 2 // 5),
    ],
)
def test_a_bound_from_both_sides(text: str, most: int) -> None:
    """What is well inside passes; twice that does not."""
    environment = MeteredEnvironment()
    environment.sandboxed = True
    template = environment.from_string(text.replace("range(n)", "items"))
    environment.begin()
    template.render(n=most - most // 20, items=range(most - most // 20))
    environment.begin()
    with pytest.raises(TooMuchError):
        template.render(n=most * 2, items=range(most * 2))


@pytest.mark.parametrize(("bits", "fits"), [(MOST_BITS, True), (MOST_BITS + 1, False)])
def test_the_largest_number_from_both_sides(bits: int, fits: bool) -> None:
    if fits:
        assert not rendered("{{ n * 1 and '' }}", n=2 ** (bits - 1))
    else:
        with pytest.raises(TooMuchError):
            rendered("{{ n * 1 and '' }}", n=2 ** (bits - 1))


def test_the_longest_message_from_both_sides(tmp_path: Path) -> None:
    lines = SAMPLES[0].lines
    for characters, fits in ((MOST_CHARACTERS, True), (MOST_CHARACTERS + 1, False)):
        end = f" {lines} lines"
        (tmp_path / "section.j2").write_text(f"{{{{ 'x' * {characters - len(end)} }}}}{end}")
        prompts = Prompts(tmp_path)
        if fits:
            assert len(prompts.message("section.j2", SAMPLES[0]).content) == characters
        else:
            with pytest.raises(InputError, match="beyond all bounds"):
                prompts.message("section.j2", SAMPLES[0])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{{ ["b", "a"]|sort|join(", ") }}', "a, b"),
        ('{{ "a" ~ 1 ~ none ~ [1, "x"] }}', "a1None[1, 'x']"),
        ('{{ range(3)|map("string")|join("-") }}', "0-1-2"),
        ('{{ ", ".join(["a", "b"]|map("upper")) }}', "A, B"),
        ("{{ [1, 2, 3]|sum }} {{ [1.5]|sum }}", "6 1.5"),
        ('{{ "a\\nb"|indent(2, first=true) }}', "  a\n  b"),
        ("{{ 2 * 3.5 }} {{ 7 % 4 }} {{ '#' * 3 }} {{ {'a': 1}.items()|list }}", "7.0 3 ### [('a', 1)]"),
        (
            "{% for a in [1, 2, 3] %}{{ loop.index }}/{{ loop.length }}{{ ',' if not loop.last }}{% endfor %}",
            "1/3,2/3,3/3",
        ),
        ("{% for a in [[1, [2]]] recursive %}{{ a if a is number else loop(a) }}{% endfor %}", "12"),
        ("{% for a, b in [(1, 2)] %}{{ b }}{{ a }}{% else %}none{% endfor %}", "21"),
        (
            "{% macro m(x, y=[1, 2]) %}{{ x }}{{ y }}{{ caller() }}{% endmacro %}{% call m(0) %}c{% endcall %}",
            "0[1, 2]c",
        ),
        ("{% set x %}{% filter upper %}abc{% endfilter %}{% endset %}{{ x }}", "ABC"),
        ("{% for a in [1, 2, 3] if a is not in [2] and a > 0 %}{{ loop.index }}{{ a }}{% endfor %}", "1123"),
        ("{{ 'abc'[1:] }}{{ [1, 2][:1] }}{{ 1 < 2 < 3 }}{{ x is undefined }}", "bc[1]TrueTrue"),
        ("{{ 'abc' if x is defined else 'abd'|replace('d', 'e') }}", "abe"),
        ("{{ 1000 * 1000 }}{{ (1000 * 1000)|string|length }}", "10000007"),
    ],
)
def test_templates_render_as_jinja2_renders_them(text: str, expected: str) -> None:
    import jinja2.sandbox

    plain = jinja2.sandbox.SandboxedEnvironment(undefined=jinja2.StrictUndefined)
    assert rendered(text) == plain.from_string(text).render() == expected


def test_each_rendering_has_all_its_units(tmp_path: Path) -> None:
    prompts = prompts_of(tmp_path, '{{ "x" * 3000000 }}')
    for _ in range(4):
        prompts.message("section.j2", replace(SAMPLES[0], language="en"))
