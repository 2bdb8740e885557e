"""expand: a chapter outline in, a finished chapter draft out, every token accounted for."""

__version__ = "0.1.0"
