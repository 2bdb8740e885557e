"""Markdown texts, pure: read as blocks, sanitized, joined, counted and compared."""
