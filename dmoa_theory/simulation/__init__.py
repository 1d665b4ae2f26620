"""Exact discrete-event simulation: traces, what becomes of them, and the statistics of long runs."""
