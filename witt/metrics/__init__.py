"""Quality of a received picture."""
