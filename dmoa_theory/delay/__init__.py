"""How long a prompt takes: one queue, the slowest of k + 1, end to end, and the memory that queues need."""
