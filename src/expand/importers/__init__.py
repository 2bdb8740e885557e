"""Outlines from documents: a plan, mdBook's ``SUMMARY.md``, or a document's own headings."""
