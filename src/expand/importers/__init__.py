"""Outlines from documents: a plan, mdBook's ``SUMMARY.md``, or a document's own headings.

``text_patterns`` reads lists, chapter names and figures as people write them; ``plan_document`` and
``documents`` make proposals from them, and ``suggest`` has the author model make one. ``writer`` and ``outline_yaml``
write proposals as outlines; ``import_run`` ties it together.
"""

from expand.importers.import_run import DEFAULT_LINES, KINDS, ImportRequest, ImportResult, Kind, import_document
from expand.importers.writer import WrittenOutline

__all__ = ["DEFAULT_LINES", "KINDS", "ImportRequest", "ImportResult", "Kind", "WrittenOutline", "import_document"]
