"""What only token classification has: files, schemes of tags, scores of entities, generated sentences. No torch."""
