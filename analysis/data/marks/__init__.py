"""What keeps a record from being judged: a machine that was not quiet, a teacher no better than one answer to all."""
