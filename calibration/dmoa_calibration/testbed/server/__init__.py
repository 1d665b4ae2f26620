"""A node's endpoints: for its user's programs, for other nodes, for monitors."""
