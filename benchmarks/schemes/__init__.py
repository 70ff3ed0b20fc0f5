"""Ways to send pictures that a sweep compares."""
