"""Figures to tables, JSON, Markdown and HTML. Each figure is computed in one place."""
