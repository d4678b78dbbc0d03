"""The architecture table: the only place that knows module paths."""
