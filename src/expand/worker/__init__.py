"""The queue: sections handed out to workers on any number of machines, through the ledger's own
PostgreSQL database. procrastinate keeps the jobs; budget, pauses and answers are the ledger's.

A job says which section is wanted and what it is made from. A worker with a checkout of the
workspace buys its answers; the draft is assembled from the ledger by whoever asks for it.
"""
