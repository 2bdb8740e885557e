"""A back end that buys sections through a provider's Batch API, at its price and within a day."""
