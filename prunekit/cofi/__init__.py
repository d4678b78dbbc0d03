"""Coarse- and fine-grained pruning by learned gates (CoFi, Xia et al. 2022)."""
