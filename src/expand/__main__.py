"""``python -m expand``, and what the console scripts call.

Signals are taken care of before anything else is loaded: Ctrl-C and SIGTERM end the tool with one
line and exit code 130 at any moment.
"""

import gc
import signal
import sys
from types import FrameType


def main() -> None:
    """Runs the command line of this process."""
    signal.signal(signal.SIGTERM, _interrupt)
    collect_seldom()
    try:
        from expand.cli import main as run  # only now: an interrupt while it loads is one, too

        run()
    except KeyboardInterrupt:
        _say_interrupted()
        sys.exit(130)
    except SystemExit as ended:
        if ended.code == 130:
            _say_interrupted()
        raise


def collect_seldom() -> None:
    """Looks for cyclic garbage less often than Python does by itself: of hundreds of looks while
    modules load none finds any, and one over all that is loaded takes 50 ms, with requests waiting."""
    gc.set_threshold(50_000, 20, 100)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _say_interrupted() -> None:
    sys.stderr.write("expand: interrupted; what was bought is kept\n")


if __name__ == "__main__":
    main()
