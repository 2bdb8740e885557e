"""A back end that buys sections through a provider's Batch API, at its price and within a day.

``batch_backend`` is the way in: submit, status, collect, cancel; it settles what came back. ``open_questions`` finds
what sections can ask now, and ``submission`` has it sent exactly once.
"""
