"""What codecs have learnt: how alike their layers are, how far they look, what they send."""
