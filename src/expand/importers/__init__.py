"""Outlines from documents: a plan, mdBook's ``SUMMARY.md``, or a document's own headings.

``names``, ``figures`` and ``items`` read what people write, ``plan_document``, ``summary`` and
``heading_document`` make proposals of it, ``outline_yaml`` writes them, ``intake`` is the use case.
"""

from __future__ import annotations

from expand.importers.import_run import DEFAULT_LINES, KINDS, ImportRequest, Intake, Kind, take_in
from expand.importers.writer import WrittenOutline

__all__ = ["DEFAULT_LINES", "KINDS", "ImportRequest", "Intake", "Kind", "WrittenOutline", "take_in"]
