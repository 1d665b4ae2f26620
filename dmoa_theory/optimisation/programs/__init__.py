"""The programs behind plans by user: mixed-integer for (M, k), convex for gossip and for rates, on a stated surrogate."""
