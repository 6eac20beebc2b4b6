"""Replay and prediction: compare the models with recordings of real kernels and QEMU."""

LEVELS = ("buddy", "pcp")
INPUTS = ("std", "probes")
REPLAY_LEVELS = {"buddy": ("buddy",), "pcp": ("pcp",), "both": LEVELS}  # of several recordings
