"""Files that a section's text may rely on and has to cite: finding, saving, quoting and citing them."""
