"""Documents as values: the author's source, and the draft that is written beside it."""
