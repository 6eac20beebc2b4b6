"""Schedules and whole simulations at random, for guests too large to exhaust."""
