"""What is fast beside a plain implementation of the same thing: same model, same data, same process, in turn."""
