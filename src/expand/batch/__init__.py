"""Drafting by batches: a section's next questions sent together with all others', at half price.

``foresight`` says which questions of a section can be asked at once, ``planning`` gathers them,
``submission`` has them sent exactly once, ``collection`` settles what came back, ``standing`` says
what is where, ``session`` puts a command together.
"""
