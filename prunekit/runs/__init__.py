"""Runs and their records: identity, execution, schema, teachers."""
