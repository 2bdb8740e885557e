"""Print the precision and recall of each kind of finding on the labelled texts in tests/labelled.

uv run python -m benchmarks.findings [--show]
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from labelled_texts import cases, table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--show", action="store_true", help="also each text that is judged wrongly, held ones aside")
    arguments = parser.parse_args()
    every = cases()
    print(table(every))
    for case in every if arguments.show else ():
        others = {one.kind for one in case.findings if one.severity != "note"} - {case.kind}
        if case.held:
            continue
        if case.faulty != case.found:
            print(f"{case.kind}: {'missed' if case.faulty else 'false alarm'}: {case.text!r}")
        elif not case.faulty and others:
            print(f"{case.kind}: also {', '.join(sorted(others))}: {case.text!r}")


if __name__ == "__main__":
    main()
