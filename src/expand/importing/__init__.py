"""Outlines from documents: a plan, mdBook's ``SUMMARY.md``, or a document's own headings.

``names``, ``figures`` and ``items`` read what people write, ``plan_document``, ``summary`` and
``heading_document`` make proposals of it, ``outline_yaml`` writes them, ``intake`` is the use case.
"""

from __future__ import annotations

from expand.importing.filing import Taken
from expand.importing.intake import DEFAULT_LINES, KINDS, Intake, Kind, Wanted, take_in

__all__ = ["DEFAULT_LINES", "KINDS", "Intake", "Kind", "Taken", "Wanted", "take_in"]
