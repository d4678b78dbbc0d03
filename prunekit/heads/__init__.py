"""Scores, orders and curves of heads (Michel et al. 2019)."""
