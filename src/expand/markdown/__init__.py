"""Text work, pure: Markdown taken apart, cleaned, joined, counted, and put together as a draft."""
