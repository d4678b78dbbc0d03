"""Units exchanged within a sublayer, after a search."""
