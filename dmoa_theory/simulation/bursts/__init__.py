"""Finite runs from empty queues."""
