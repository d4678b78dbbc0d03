"""Tasks: rows from the Hub, from the user's files or from the built-in grammar; batches; metrics."""
