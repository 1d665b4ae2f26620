"""One module an item; each has a function ``reproduce`` that takes settings and returns an outcome."""
