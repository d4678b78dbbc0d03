"""Models run piece by piece: layers replayed, heads ablated, gates differentiated, sentences decoded."""
