"""What the papers claim, when a claim holds, and the table that puts both beside the numbers of records."""
