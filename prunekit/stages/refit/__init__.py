"""Weights of what stays, fitted to the outputs of the whole model."""
