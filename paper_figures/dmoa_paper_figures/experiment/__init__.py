"""The published experiment, run as often as one likes: its draws, its metrics, and the service times behind its tables."""
