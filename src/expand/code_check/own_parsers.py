"""Read a block by the parsers that the tool has itself: ``python own_parsers.py PACKAGES… LANGUAGE FILE``.

A program of its own, since a parser cannot be stopped: it gets the time and memory that any other toolchain gets. Like
one it prints ``FILE:LINE: message`` for what it refuses; nothing of the file is executed. ``PACKAGES`` are the
folders that pyflakes and PyYAML are in.
"""

import ast
import json
import symtable
import sys
import tomllib
import warnings
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

CANNOT_BE_JUDGED = 126
"""The exit status where a file is beyond what the parsers can read."""


def errors(language: str, text: str, above: list[str]) -> Iterator[tuple[int, str]]:
    """The line, from 1, and the words of each error. Python knows the names that the programs ``above`` bind."""
    try:
        match language:
            case "python":
                yield from _undefined(text, above)
            case "json":
                json.loads(text)
            case "toml":
                tomllib.loads(text)
            case "yaml":
                import yaml  # here and below: each is loaded for its own language only

                try:
                    for _ in yaml.compose_all(text, Loader=yaml.SafeLoader):
                        pass
                except yaml.YAMLError as error:
                    mark = getattr(error, "problem_mark", None)
                    yield mark.line + 1 if mark else 1, getattr(error, "problem", None) or str(error)
    except SyntaxError as error:
        yield error.lineno or 1, f"{type(error).__name__}: {error.msg}"
    except ValueError as error:
        line = getattr(error, "lineno", 0) or int(str(error).partition("at line ")[2].partition(",")[0] or 1)
        yield line, getattr(error, "msg", None) or str(error)


def _undefined(code: str, above: list[str]) -> Iterator[tuple[int, str]]:
    """The names that neither a Python program nor those above it bind. Raises ``SyntaxError``."""
    warnings.simplefilter("ignore")
    compile(code, "block", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
    from pyflakes import checker, messages

    known: set[str] = set()
    for other in above:
        with suppress(SyntaxError, ValueError, RecursionError, MemoryError):  # what is wrong with them is said there
            known |= {*_bound(symtable.symtable(other, "above", "exec"))}
    for found in sorted(checker.Checker(ast.parse(code), builtins=known).messages, key=lambda found: found.lineno):
        if isinstance(found, messages.UndefinedName | messages.UndefinedLocal | messages.UndefinedExport):
            yield found.lineno, str(found.message % found.message_args)


def _bound(table: symtable.SymbolTable) -> Iterator[str]:
    """The names that a program binds, wherever it does."""
    for symbol in table.get_symbols():
        if symbol.is_assigned() or symbol.is_imported() or symbol.is_namespace():
            yield symbol.get_name()
    for child in table.get_children():
        yield from _bound(child)


def main() -> int:
    """Read the file that the command line names, with the programs in the folder ``above`` beside it."""
    *packages, language, file = sys.argv[1:]
    sys.path += packages
    text, *above = (path.read_text("utf-8") for path in (Path(file), *sorted(Path("above").glob("*"))))
    try:
        found = list(errors(language, text, above))
    except (RecursionError, MemoryError):
        print("it is nested too deeply")
        return CANNOT_BE_JUDGED
    for line, said in found:
        print(f"{file}:{line}: {said}")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
