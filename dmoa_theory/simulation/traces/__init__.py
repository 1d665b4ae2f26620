"""Runs job by job: recorded or drawn, played through the queues by a plain reference simulator."""
