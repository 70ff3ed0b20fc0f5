"""Classified transform coding with a KLT for each class, and the networks beside it."""
