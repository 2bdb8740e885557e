"""The sandbox that templates are rendered in: Jinja2's, and a bound on how much a template may do.

A template may come with a folder that somebody else made. Jinja2's sandbox keeps it from running code, but not from
multiplying a text by ten thousand million, or looping as often. Here every step and every value costs units, and a
rendering has ``UNITS`` of them: a loop's turn and a call cost ``STEP``, a text one for each character, a list ``ITEM``
for each item and what is in it. Templates have the filters and methods that prompts need and no others, so that little
can grow beyond all bounds in a single step: ``*``, ``join``, ``replace`` and ``indent``, which are paid for before they
are done. So time and memory are bounded, whatever a template says.

Nothing is computed while a template is compiled, as Jinja2 would do with constants: that would come before any bound.
"""

from collections.abc import ItemsView, Iterable, Iterator, KeysView, Mapping, Sequence, ValuesView
from functools import wraps
from itertools import chain
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
FILTERS = (
    "abs", "capitalize", "count", "d", "default", "dictsort", "first", "float", "groupby", "indent", "int", "items",
    "join", "last", "length", "list", "lower", "map", "max", "min", "reject", "rejectattr", "replace", "reverse",
    "select", "selectattr", "sort", "string", "sum", "title", "trim", "truncate", "unique", "upper",
    "wordcount",
)  # fmt: skip
METHODS = (
    "capitalize", "casefold", "count", "endswith", "find", "get", "index", "isalnum", "isalpha", "isdigit", "isupper",
    "items", "join", "keys", "lower", "lstrip", "partition", "removeprefix", "removesuffix", "replace", "rfind",
    "rpartition", "rsplit", "rstrip", "split", "splitlines", "startswith", "strip", "title", "upper", "values",
)  # fmt: skip
"""What templates may do with texts, lists and mappings. None changes what it is called on."""
_GROWING = ("indent", "join", "replace", "*")
"""What may make far more than it is given: as much as the first size times the largest of the others."""

_CONTAINERS = (list, tuple, set, frozenset, ValuesView, KeysView, ItemsView, Mapping)


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
        elif (
            isinstance(node, nodes.List | nodes.Dict)
            or (isinstance(node, nodes.Tuple) and node.ctx == "load")
            or (isinstance(node, nodes.Getitem) and isinstance(node.arg, nodes.Slice))
        ):
            self.write("environment.spend_for(")
            super().visit(node, *values, **named)
            self.write(")")
        else:
            if isinstance(node, nodes.For) and node.test is not None:
                a_step: nodes.Expr = nodes.List([nodes.Const(0)])
                node.test = nodes.And(a_step, node.test)
            super().visit(node, *values, **named)


class MeteredEnvironment(SandboxedEnvironment):
    """Jinja2's sandbox, with a meter. Call ``begin`` before each rendering."""

    code_generator_class = _CodeGenerator
    intercepted_binops = frozenset({"*", "**", "%", "+"})

    def __init__(self, **options: Any) -> None:
        super().__init__(optimized=False, finalize=_spend_for_output, undefined=jinja2.StrictUndefined, **options)
        self._left = UNITS
        # What is said must not depend on chance: a section would never be current.
        del self.globals["lipsum"]
        self.filters["sum"] = lambda numbers, /: sum(numbers)  # without a start: adding lists takes quadratic time
        self.filters = {name: self._metered(name, self.filters[name]) for name in FILTERS}
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
        if isinstance(value, str | bytes | range):
            self.spend(len(value))
        elif isinstance(value, int) and value.bit_length() > MOST_BITS:
            raise TooMuchError
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

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        """Whether a template may use an attribute: of Python's own values, only what is in ``METHODS``."""
        own = type(obj).__module__ == "builtins"
        return attr in METHODS if own else super().is_safe_attribute(obj, attr, value)

    def wrap_str_format(self, value: Any) -> None:
        """Makes nothing of ``str.format``: it is not in ``METHODS``, as what it makes cannot be told beforehand."""

    def call(self, context: Context, function: Any, /, *values: Any, **named: Any) -> Any:
        """Call what a template calls."""
        owner = getattr(function, "__self__", None)
        _, *given = self._paid(function.__name__ if isinstance(owner, str) else "", (owner, *values), named)
        return self.spend_for(super().call(context, function, *given, **named))

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """Compute what may become large."""
        numbers = isinstance(left, int | float) and isinstance(right, int | float)
        if operator == "**" or (operator == "%" and not numbers):
            raise jinja2.TemplateRuntimeError(f"{operator} is not available{' for texts' if operator == '%' else ''}")
        if not numbers:
            self._paid(operator, (left, right), {})
        return self.spend_for(super().call_binop(context, operator, left, right))

    def joined(self, *values: Any) -> str:
        """``a ~ b`` of a template."""
        self._paid("~", values, {})
        return "".join(map(str, values))

    def _metered(self, name: str, function: Any) -> Any:
        first = hasattr(function, "jinja_pass_arg")  # the context, or the environment

        @wraps(function)  # with the marks by which Jinja2 passes these
        def metered(*values: Any, **named: Any) -> Any:
            return self.spend_for(function(*values[:first], *self._paid(name, values[first:], named), **named))

        return metered

    def _paid(self, name: str, values: Sequence[Any], named: Mapping[str, Any]) -> list[Any]:
        """Use up a step, what it reads, and the most that it makes of that. Returns the values, iterators as lists."""
        self.spend(STEP)
        listed = [list(value) if isinstance(value, Iterator) else value for value in values]
        sizes = []
        for value in (*listed, *named.values()):
            before = self._left
            self.spend_for(value)
            sizes.append(abs(value) if isinstance(value, int) else before - self._left)
        if name in _GROWING:
            self.spend(sizes[0] * max((1, *sizes[1:])))
        return listed


@pass_context
def _spend_for_output(context: Context, value: Any) -> Any:
    """What a template puts out. That it takes the context keeps Jinja2 from computing it beforehand."""
    environment = context.environment
    assert isinstance(environment, MeteredEnvironment)
    return environment.spend_for(value)


def _items(value: Any) -> Iterator[Any]:
    return chain.from_iterable(value.items()) if isinstance(value, Mapping) else iter(value)
