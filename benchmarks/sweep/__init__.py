"""Every scheme at every condition, and the files of the results."""
