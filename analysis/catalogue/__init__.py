"""What is drawn from which records, paper by paper, and how it becomes files and words in the terminal."""
