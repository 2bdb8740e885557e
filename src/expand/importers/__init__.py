"""Outlines from documents: a plan, mdBook's ``SUMMARY.md``, or a document's own headings.

``text_patterns`` reads lists and chapter names as people write them, ``lengths`` figures; ``plan_document`` and
``documents`` make proposals from them, and ``suggest`` has the author model make one. ``writer`` and ``outline_yaml``
write proposals as outlines; ``import_run`` ties it together.
"""

from expand.importers.import_run import (
    DEFAULT_LINES,
    KINDS,
    DocumentReading,
    ImportRequest,
    ImportResult,
    Kind,
    import_document,
    read_document,
    write_outlines,
)
from expand.importers.lengths import Length, Unit, lengths_in
from expand.importers.writer import WrittenOutline

__all__ = [
    "DEFAULT_LINES",
    "KINDS",
    "DocumentReading",
    "ImportRequest",
    "ImportResult",
    "Kind",
    "Length",
    "Unit",
    "WrittenOutline",
    "import_document",
    "lengths_in",
    "read_document",
    "write_outlines",
]
