"""The order of the tissue along a pseudotime."""
