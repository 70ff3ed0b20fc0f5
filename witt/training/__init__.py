"""Training: what `witt train` does, for use from Python as well."""
