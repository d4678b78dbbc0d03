"""Typed settings with their checks; nothing here imports torch."""
