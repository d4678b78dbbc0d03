"""Pruned models for others: shapes of stock transformers, ONNX graphs, classes that the Auto classes know."""
