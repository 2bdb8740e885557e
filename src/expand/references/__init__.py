"""References: files that a section's text may rely on and has to cite.

``reference_files`` finds what an outline names and reads it, ``passages`` cuts it into what can be cited and chooses
what a chapter's requests quote, ``footnotes`` puts footnotes in the place of the model's citations, ``citations``
checks them, and ``snapshot`` saves web pages, which is the only one of them that uses the network.
"""
