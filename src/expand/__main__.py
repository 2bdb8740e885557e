"""``python -m expand``, and what the console scripts call."""

from __future__ import annotations

from expand.cli import main

if __name__ == "__main__":
    main()
