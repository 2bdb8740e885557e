"""TOML files as nodes with positions, and shapes for what stands in them."""
