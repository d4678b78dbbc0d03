"""Which units stay within a budget."""
