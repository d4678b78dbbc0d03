"""What makes a file a method, and what runs it."""
