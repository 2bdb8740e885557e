"""Reads YAML and TOML files as plain data with positions, and validates them by a JSON Schema for each kind of file."""

Json = str | int | float | bool | None | list["Json"] | dict[str, "Json"]
"""A value that JSON can hold."""
