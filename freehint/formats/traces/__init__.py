"""Recorded traces: readers of several formats, and the arrays that the replay needs."""
