"""Picture files: finding, reading, writing and showing them."""
