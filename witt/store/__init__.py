"""Weights files, and what they become elsewhere."""
