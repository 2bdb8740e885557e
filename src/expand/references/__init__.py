"""References: files that a section's text may rely on and has to cite.

``reference_files`` finds what an outline names and reads it, and saves web pages; ``passages`` cuts it into what can be
cited and chooses what a chapter's requests quote; ``citations`` puts footnotes in the place of the model's citations,
and checks them.
"""
