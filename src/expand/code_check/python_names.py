"""A program by itself: compile Python files and name what is undefined in them, as ``FILE:LINE: message`` lines.

``python python_names.py BLOCK.py ABOVE.py …``; what the other files bind is known to the first. It imports nothing of
expand, so that it starts quickly, and executes nothing of the files.
"""

import ast
import sys
from pathlib import Path


def main(path: str, *above: str) -> int:
    """Print what is wrong; returns 1 if something is."""
    code = Path(path).read_text(encoding="utf-8")
    try:
        compile(code, path, "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
        tree = ast.parse(code, path)
    except SyntaxError as error:
        print(f"{path}:{error.lineno or 1}: {type(error).__name__}: {error.msg}")
        return 1
    except (ValueError, RecursionError, MemoryError) as error:
        print(f"{path}:1: {error}")
        return 1
    from pyflakes import checker, messages

    wrong = (messages.UndefinedName, messages.UndefinedLocal, messages.UndefinedExport)
    known = {name for other in above for name in _bound(Path(other).read_text(encoding="utf-8"))}
    found = checker.Checker(tree, filename=path, builtins=known).messages
    undefined = [one for one in found if isinstance(one, wrong)]
    for one in sorted(undefined, key=lambda one: one.lineno):
        print(f"{path}:{one.lineno}: {one.message % one.message_args}")
    return int(bool(undefined))


def _bound(code: str) -> set[str]:
    """The names that a file binds, wherever it does."""
    try:
        tree = ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return set()
    names: set[str] = set()
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=aliases) | ast.ImportFrom(names=aliases):
                names |= {(alias.asname or alias.name).partition(".")[0] for alias in aliases}
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                names.add(name)
            case ast.Name(id=name, ctx=ast.Store()):
                names.add(name)
    return names


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
