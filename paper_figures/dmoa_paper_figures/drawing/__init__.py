"""Parts that the drawings of the paper's figures are put together from."""
