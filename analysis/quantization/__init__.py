"""Figures of models in 8 bits, pruned or not."""
