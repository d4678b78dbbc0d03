"""Tests of what only token classification has."""
