"""Print the table of providers' behaviours: what was bought, drafted, found and said for each.

``python tests/behaviour_table.py [NAME …]``
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from behaviour_runs import ALL, Seen, run_behaviour
from behaviours import Behaviour, BehaviourServer


def row(behaviour: Behaviour, seen: Seen) -> str:
    """A behaviour's row of the Markdown table."""
    said = next((line.strip() for line in seen.ran.err.splitlines() if behaviour.said and behaviour.said in line), "")
    cells = (
        behaviour.name,
        behaviour.does,
        str(seen.ran.code),
        str(seen.requests),
        f"{seen.charged:,}",
        f"{seen.share:.2f}",
        str(seen.draft.count("\n")),
        ", ".join(seen.findings) or "-",
        (said or "-").replace("|", "\\|")[:120],
    )
    return f"| {' | '.join(cells)} |"


def main() -> None:
    """Run the behaviours named, or all of them."""
    wanted = [behaviour for behaviour in ALL if behaviour.name in sys.argv[1:] or not sys.argv[1:]]
    print("| model | does | exit | requests | charged | of dry run | draft lines | found | said |")
    print("|---|---|--:|--:|--:|--:|--:|---|---|")
    with BehaviourServer(ALL) as server:
        for behaviour in wanted:
            with tempfile.TemporaryDirectory() as folder:
                print(row(behaviour, run_behaviour(Path(folder), server, behaviour)), flush=True)


if __name__ == "__main__":
    main()
