"""The author model: how it is addressed, what it is told, what its answers weigh and cost."""
