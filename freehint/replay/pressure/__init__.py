"""Guests under pressure: what a recording of one shows, and a prediction held against it."""
