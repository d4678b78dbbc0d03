"""README.md and the pages of docs/ that hold numbers, filled in from run records."""
