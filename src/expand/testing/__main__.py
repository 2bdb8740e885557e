"""``python -m expand.testing --port 8099 --behaviour preamble``: the scripted server by itself."""

from expand.testing.server import main

main()
