"""A new workspace, in an empty folder or around a docs tree."""
