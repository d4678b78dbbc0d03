"""Rows from the Hub, from the user's files or generated; token ids and batches; losses and metrics."""
