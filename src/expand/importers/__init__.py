"""Outlines from documents: a plan, mdBook's ``SUMMARY.md``, or a document's own headings.

``text_patterns`` reads lists and chapter names as people write them, ``lengths`` figures; ``plan_document`` makes
proposals of plans, ``proposal`` of headings, and ``suggest`` has the author model make one. ``outline_yaml`` words
proposals as outlines, and ``import_run`` writes them.
"""
