"""Which heads go first, what becomes of a model without them, and how fast it is (Michel et al. 2019)."""
