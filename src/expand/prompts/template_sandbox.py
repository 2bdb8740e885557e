"""The sandbox that templates are rendered in: Jinja2's, and a bound on how much a template may do.

A template may come with a folder that somebody else made. Jinja2's sandbox keeps it from running code, but not from
multiplying a text by ten thousand million, or looping as often. Here every step and every value costs units, and a
rendering has ``UNITS`` of them: a loop's turn and a call cost ``STEP``, a text one for each character, a list ``ITEM``
for each item and what is in it. What could grow beyond all bounds in a single step (``*``, ``**``, ``center``,
``replace``, …) is paid for before it is done. So time and memory are bounded, whatever a template says.

Nothing is computed while a template is compiled, as Jinja2 would do with constants: that would come before any bound.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sized
from functools import wraps
from typing import Any

import jinja2
from jinja2 import nodes, pass_context
from jinja2.compiler import CodeGenerator, Frame, operators
from jinja2.runtime import Context
from jinja2.sandbox import SandboxedEnvironment

UNITS = 20_000_000
"""What a rendering may use up: a prompt of a few megabytes, more than any model reads."""
STEP = 100
"""The units of a loop's turn, a macro's call, or any other call: with ``UNITS``, 200,000 of them, or a second."""
ITEM = 100
"""The units of an item of a list, which takes more memory than a character."""
MOST_BITS = 20_000
"""The size of the largest whole number."""

_PLACEHOLDER = re.compile(r"%(?:\([^)]*\))?[-+ #0]*([\d.*]*)|\{(?:[^{}]*:([^{}]*))?")
"""What a format fills in, in the way of ``%`` or of ``str.format``, with its width and precision."""
_LISTS: tuple[type, ...] = (list, tuple, set, frozenset, type({}.values()), type({}.keys()), type({}.items()))
_CONTAINERS: tuple[type, ...] = (*_LISTS, Mapping)
_NO_NUMBER = 1e18
_GROWING: Mapping[str, Callable[[int, int, int], int]] = {
    **dict.fromkeys(
        ("center", "ljust", "rjust", "zfill", "to_bytes", "batch", "slice"),
        lambda own, number, size: number * (1 + size),
    ),
    "expandtabs": lambda own, number, size: own * max(number, 8),
    "translate": lambda own, number, size: own * max(size, 1),
    "wordwrap": lambda own, number, size: own * max(size, 10),
    "tojson": lambda own, number, size: own * number,
    "pprint": lambda own, number, size: own * 20,
}
"""The units of what a step may make, from its first argument's size, and the largest number and size of the others."""
_BY_TEXT = ("format", "format_map", "indent", "replace", "join", "sum")
"""Likewise, but what they are given has to be looked at."""
_READ_AT_ONCE = ("join", "sum")
"""What takes a generator's items all at once, so that they have to be paid for before."""


class TooMuchError(jinja2.TemplateRuntimeError):
    """A template uses up more than a rendering may."""

    def __init__(self) -> None:
        super().__init__("it multiplies text, or loops, beyond all bounds")


class _CodeGenerator(CodeGenerator):
    """Jinja2's, with payments: every body that may be rendered again and again costs a step and its own text each time,
    what is in a body within it that one pays for, and an item that a loop passes over a step. Lists and slices are paid
    for where they are made, texts where they are joined, and what a comparison reads where it is read."""

    def blockvisit(self, body: Iterable[nodes.Node], frame: Frame) -> None:
        """A body: of a template, a block, a loop, a macro, a branch."""
        body = list(body)
        own = [part for node in body if isinstance(node, nodes.Output) for part in node.nodes]
        text = sum(len(part.data) for part in own if isinstance(part, nodes.TemplateData))
        self.writeline(f"environment.spend({STEP + text})", body[0] if body else None)
        super().blockvisit(body, frame)

    def visit(self, node: nodes.Node, *values: Any, **named: Any) -> None:
        """A statement or an expression."""
        if isinstance(node, nodes.Concat):
            self.write("environment.joined(")
            for part in node.nodes:
                self.visit(part, *values)
                self.write(", ")
            self.write(")")
        elif isinstance(node, nodes.Operand):
            self.write(f" {operators[node.op]} environment.spend_for(")
            self.visit(node.expr, *values)
            self.write(")")
        elif _makes_a_list(node):
            self.write("environment.spend_for(")
            super().visit(node, *values, **named)
            self.write(")")
        else:
            if isinstance(node, nodes.For) and node.test is not None:
                a_step: nodes.Expr = nodes.List([nodes.Const(0)])
                node.test = nodes.And(a_step, node.test)
            super().visit(node, *values, **named)


def _makes_a_list(node: nodes.Node) -> bool:
    return (
        isinstance(node, nodes.List | nodes.Dict)
        or (isinstance(node, nodes.Tuple) and node.ctx == "load")
        or (isinstance(node, nodes.Getitem) and isinstance(node.arg, nodes.Slice))
    )


class MeteredEnvironment(SandboxedEnvironment):
    """Jinja2's sandbox, with a meter. Call ``begin`` before each rendering."""

    code_generator_class = _CodeGenerator
    intercepted_binops = frozenset({"*", "**", "%", "+"})

    def __init__(self, **options: Any) -> None:
        super().__init__(optimized=False, finalize=_spend_for_output, undefined=jinja2.StrictUndefined, **options)
        self._left = UNITS
        # HTML for browsers, which no model is asked in, and slow on text that is made for it.
        for name in ("striptags", "urlize", "xmlattr"):
            del self.filters[name]
        self.filters = {name: self._metered(name, function) for name, function in self.filters.items()}
        self.tests = {name: self._metered(name, function) for name, function in self.tests.items()}

    def begin(self) -> None:
        """Begin a rendering, with all its units."""
        self._left = UNITS

    def spend(self, units: int) -> None:
        """Use units up. Raises ``TooMuchError`` when there are not so many left."""
        self._left -= units
        if self._left < 0:
            raise TooMuchError

    def spend_for(self, value: Any) -> Any:
        """Use up what a value costs, with all that is in it as often as it is in it; returns the value."""
        if isinstance(value, (str, bytes)):
            self.spend(len(value))
        elif isinstance(value, int):
            _refuse_huge(value.bit_length())
        elif isinstance(value, range):
            self.spend(len(value))
        elif isinstance(value, _CONTAINERS):
            # Without recursion, and not once for each list: a list may hold another twice, and that one a third twice.
            waiting: list[Iterator[Any]] = [_items(value)]
            while waiting:
                for item in waiting[-1]:
                    self.spend(ITEM + (len(item) if isinstance(item, str | bytes) else 0))
                    if isinstance(item, _CONTAINERS):
                        waiting.append(_items(item))
                        break
                else:
                    waiting.pop()
        return value

    # --- where Jinja2 does something --------------------------------------------------------------

    def call(self, context: Context, function: Any, /, *values: Any, **named: Any) -> Any:
        """Call what a template calls."""
        owner = getattr(getattr(function, "__wrapped__", function), "__self__", None)
        self.spend(STEP)
        if isinstance(owner, str | bytes | int):
            if function.__name__ in _READ_AT_ONCE:
                values = tuple(map(_listed, values))
            self._estimate(function.__name__, (owner, *values), named)
        elif isinstance(owner, _CONTAINERS):  # it may be made longer
            self.spend_for([owner, *values, *named.values()])
        return self.spend_for(super().call(context, function, *values, **named))

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """Compute what may become large."""
        self.spend(1)
        if operator == "**" and isinstance(left, int) and isinstance(right, int):
            _refuse_huge(left.bit_length() * max(right, 0))
        elif operator == "*":
            if isinstance(left, int) and isinstance(right, int):
                _refuse_huge(left.bit_length() + right.bit_length())
            else:
                for value, times in ((left, right), (right, left)):
                    if isinstance(times, int) and isinstance(value, str | bytes | list | tuple):
                        self.spend(max(times, 0) * (1 + self._size(value)))
        elif operator == "%" and isinstance(left, str | bytes):
            self._estimate("format", (left, right), {})
        return self.spend_for(super().call_binop(context, operator, left, right))

    def joined(self, *values: Any) -> str:
        """``a ~ b`` of a template."""
        self.spend(STEP)
        for value in values:
            self.spend_for(value)
        return "".join(map(str, values))

    def _metered(self, name: str, function: Any) -> Any:
        @wraps(function)  # with the marks by which Jinja2 passes a context or itself
        def metered(*values: Any, **named: Any) -> Any:
            self.spend(STEP)
            if name in _READ_AT_ONCE:
                values = tuple(map(_listed, values))
            taken = values[1:] if hasattr(function, "jinja_pass_arg") else values
            self._estimate(name, taken, named)
            return self.spend_for(function(*values, **named))

        return metered

    # --- what a step can make ---------------------------------------------------------------------

    def _estimate(self, name: str, values: tuple[Any, ...], named: Mapping[str, Any]) -> None:
        """Use up what a function of this name reads, or, of a text's or a filter, can make of its arguments at most."""
        if values and name in (*_GROWING, *_BY_TEXT):
            self.spend(self._most_made(name, values[0], [*values[1:], *named.values()]))
        else:
            self.spend_for([*values, *named.values()])

    def _most_made(self, name: str, first: Any, others: list[Any]) -> int:
        given = [abs(int(each)) for each in others if isinstance(each, int | float) and abs(each) < _NO_NUMBER]
        number, size, own = max(given, default=0), max(map(self._size, others), default=0), self._size(first)
        match name:
            case "format" | "format_map":
                return _width(str(first), others) + len(_PLACEHOLDER.findall(str(first))) * (1 + size)
            case "indent":
                return (str(first).count("\n") + 1) * max(number, size)
            case "replace":
                old = others[0] if others else ""
                return size * (str(first).count(old) if isinstance(old, str) else own)
            case "join":  # the method of a text, or the filter
                items, between = (others[0], own) if isinstance(first, str | bytes) and others else (first, size)
                return len(items) * between if isinstance(items, Sized) else 0
            case "sum":  # lists are copied for the next
                return own * own if any(isinstance(other, _CONTAINERS) for other in others) else 0
            case _:
                return _GROWING[name](own, number, size)

    def _size(self, value: Any) -> int:
        """How many units a value costs; they are used up as well, as the step reads it all."""
        before = self._left
        self.spend_for(value)
        return before - self._left


@pass_context
def _spend_for_output(context: Context, value: Any) -> Any:
    """What a template puts out. That it takes the context keeps Jinja2 from computing it beforehand."""
    environment = context.environment
    assert isinstance(environment, MeteredEnvironment)
    return environment.spend_for(value)


def _items(value: Any) -> Iterator[Any]:
    if isinstance(value, Mapping):
        for pair in value.items():
            yield from pair
    else:
        yield from value


def _listed(value: Any) -> Any:
    return list(value) if isinstance(value, Iterator) else value


def _width(text: str | bytes, values: list[Any]) -> int:
    """How wide a format makes what it fills in, at most. A width that is itself filled in has as many digits as the
    values and the format have together."""
    stated = ["".join(each) for each in _PLACEHOLDER.findall(str(text))]
    if re.search(r"\{[^{}]*\{", str(text)) or any("*" in each for each in stated):
        digits = sum(map(str.isdigit, str(text))) + sum(len(str(number)) for number in _numbers(values))
        return int(10 ** min(digits, 18))
    return sum(int(digits[:18]) for each in stated for digits in re.findall(r"\d+", each))


def _numbers(values: list[Any]) -> Iterator[int]:
    for value in values:
        if isinstance(value, int):
            yield value
        elif isinstance(value, _CONTAINERS):
            yield from _numbers(list(_items(value)))


def _refuse_huge(bits: int) -> None:
    if bits > MOST_BITS:
        raise TooMuchError
