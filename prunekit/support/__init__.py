"""What everything else may use: files, fingerprints, progress, timing, statistics, and the one exception for users."""
