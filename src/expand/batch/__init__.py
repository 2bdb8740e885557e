"""A back end that buys sections through a provider's Batch API, at its price and within a day.

``batch_backend`` is the way in: it finds what sections can ask now, and drafts from what came back; ``submission`` has
it sent exactly once, and settles what comes back.
"""
