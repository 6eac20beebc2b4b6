"""Recorded traces: readers for several formats, and the arrays that the replay needs."""
