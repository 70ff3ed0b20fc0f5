"""Curves, figures and tables from result files."""
