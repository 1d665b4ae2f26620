"""Choose (M, k): the most accurate configuration that the devices can carry."""
