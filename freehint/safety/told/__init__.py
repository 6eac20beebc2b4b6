"""What an exploration found, and each moment of a schedule, for people."""
