"""Reading YAML and TOML files as nodes with positions, and validating what stands in them."""

from __future__ import annotations

Json = str | int | float | bool | None | list["Json"] | dict[str, "Json"]
"""A value that JSON can hold."""
