"""Blocks of a stage of the paper's network, to choose from by name: `BLOCKS` in `witt.registry`.

What they are and how to add one: docs/backbones.md.
"""
