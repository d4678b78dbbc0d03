"""How sure a number is: intervals over runs and over evaluation rows, for claims and for comparisons alike."""
