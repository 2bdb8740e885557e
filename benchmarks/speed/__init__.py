"""How fast the whole durable pipeline is, beside the bare client, in one run.

    uv run python -m benchmarks.speed            # every table, about ten minutes
    uv run python -m benchmarks.speed --quick    # the same, smaller, about one minute
    uv run python -m benchmarks.speed latency start-up

Every side runs in a fresh process, against a server in a process of its own that sends answers made
beforehand. Compare the ratios within a run: the seconds are the machine's.
"""
