"""A user's own policy in the explorer."""
