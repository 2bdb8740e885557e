"""Runs a command in a real terminal of its own and draws the last screen as SVG.

uv run --with pyte python docs/picture.py docs/pictures/chapter.svg expand chapter 03
"""

from __future__ import annotations

import os
import pty
import re
import select
import struct
import sys
import termios
from fcntl import ioctl
from pathlib import Path

import pyte
from rich.console import Console
from rich.style import Style
from rich.text import Text

COLUMNS, ROWS = 100, 60


def last_screen(command: list[str]) -> pyte.Screen:
    """The screen after the command has ended."""
    screen = pyte.Screen(COLUMNS, ROWS)
    stream = pyte.ByteStream(screen)
    child, terminal = pty.fork()
    if child == 0:
        os.environ.update(TERM="xterm-256color", COLUMNS=str(COLUMNS), LINES=str(ROWS))
        os.execvp(command[0], command)
    ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    while True:
        select.select([terminal], [], [])
        try:
            data = os.read(terminal, 65536)
        except OSError:
            break
        if not data:
            break
        stream.feed(data)
    os.waitpid(child, 0)
    return screen


def colour(name: str) -> str | None:
    """A colour as rich names it."""
    if name == "default":
        return None
    if len(name) == 6 and all(c in "0123456789abcdef" for c in name):
        return f"#{name}"
    return {"brown": "yellow"}.get(name, name)


def main() -> int:
    """Draws the picture."""
    target, command = Path(sys.argv[1]), sys.argv[2:]
    screen = last_screen(command)
    console = Console(record=True, width=COLUMNS, file=open(os.devnull, "w"))  # noqa: SIM115, PTH123
    console.print(Text(f"$ {' '.join(command)}", style="bold"))
    used = max((n for n in range(ROWS) if screen.display[n].strip()), default=0) + 1
    for row in range(used):
        line = Text()
        for column in range(COLUMNS):
            cell = screen.buffer[row][column]
            style = Style(color=colour(cell.fg), bold=cell.bold, italic=cell.italics)
            line.append(cell.data, style)
        line.rstrip()
        console.print(line, soft_wrap=True)
    target.parent.mkdir(parents=True, exist_ok=True)
    drawn = console.export_svg(title="expand")
    target.write_text(re.sub(r"@font-face \{.*?\}\s*", "", drawn, flags=re.DOTALL), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
