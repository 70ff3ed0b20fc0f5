"""The commands that compare, one a file."""
