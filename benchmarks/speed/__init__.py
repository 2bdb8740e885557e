"""What a user waits for, measured beside the bare streaming client of the SDK in the same run.

    uv run python -m benchmarks.speed            # every table, about ten minutes
    uv run python -m benchmarks.speed --quick    # the same, smaller, about one minute
    uv run python -m benchmarks.speed streaming start-up

Every side runs in a fresh process, against a server in a process of its own that sends answers made beforehand.
Compare the ratios within a run: the seconds depend on the machine.
"""
