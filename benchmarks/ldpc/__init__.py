"""The channel code of the digital chains: 5G NR LDPC and QAM, and how often a block is lost."""
