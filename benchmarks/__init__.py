"""Comparison of transmission schemes: baselines, sweeps, results and plots."""
