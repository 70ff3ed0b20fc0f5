"""Presets trained alike and compared."""
