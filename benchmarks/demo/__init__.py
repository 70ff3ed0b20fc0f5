"""`witt demo`: a local page on which the channel is a slider."""
