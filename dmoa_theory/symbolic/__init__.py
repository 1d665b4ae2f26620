"""The same mathematics in symbols: derived step by step from the assumptions, printed, and turned into functions."""
