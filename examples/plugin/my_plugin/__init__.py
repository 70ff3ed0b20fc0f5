"""A codec, a channel and a metric for witt, found by their names once this is installed."""
