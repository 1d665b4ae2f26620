"""The gossip that carries the most: a linear program over whom every user asks, and how often."""
