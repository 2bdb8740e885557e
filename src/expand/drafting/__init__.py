"""Chapters into drafts: asking, adding, checking, writing, and what becomes of a draft."""
