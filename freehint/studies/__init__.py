"""Experiments: each file makes the tables of one question."""
