"""What a buffer must be, and how a picture becomes one."""
