"""When the queues stay bounded: loads, the stability region, and what is proved about it."""
