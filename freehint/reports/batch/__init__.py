"""Batches: one notebook run with many sets of parameters, in processes, and a gallery."""
