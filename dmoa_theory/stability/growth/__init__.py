"""Outside the stability region: which queues grow, how fast, and what still gets done."""
