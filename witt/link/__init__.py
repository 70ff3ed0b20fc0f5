"""A picture over a channel."""
