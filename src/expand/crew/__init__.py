"""Several processes of this machine as one run: a captain, who talks to the user, and its crew.

One Python process uses one processor, and most of a section's time is spent on its text. So a large
run is shared: the captain reads the input and forks the members before anything else is alive; each
of them is an ordinary expansion with a ledger connection, an event loop and a client of its own.

What holds is what holds of a run of one process: nothing is sent before every chapter was looked
at, one run in the ledger has one budget, a wrong key costs one attempt, the first Ctrl-C lets what
is in flight arrive. A member that is killed takes nothing with it: its attempts in flight are put
in order through the ledger, and its chapters are finished by the others or the captain.
"""
