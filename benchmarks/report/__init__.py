"""One page of HTML from result files: curves, numbers, pictures and settings, to mail on."""
