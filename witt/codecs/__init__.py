"""Source-channel codecs: pictures to channel symbols and back."""
