"""Accuracy as a function of (M, k): published tables and the user's own, with their sampling error."""
