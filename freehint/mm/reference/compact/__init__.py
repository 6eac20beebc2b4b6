"""Compaction once more, in plain Python; see the reference's own __init__."""
