"""What model cards tell of a run, from its record."""
