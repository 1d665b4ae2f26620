"""The figures, tables and formulas of the paper (arXiv:2412.21200), remade; one module an item."""
