"""The link as a radio sees it: bits to symbols by channel codes, symbols to samples, and back."""
