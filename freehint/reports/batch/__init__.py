"""Batches: one notebook over many parameters, a process for each, and a gallery."""
