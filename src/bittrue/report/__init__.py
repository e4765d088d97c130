"""Facts as text, JSON and pictures."""
