"""Training the networks of `witt.metrics.semantic`, and what their metrics say."""
