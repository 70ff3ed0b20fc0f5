"""A referee: both ends of a scheme as programs that share samples and nothing else."""
