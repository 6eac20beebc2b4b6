"""Replay and prediction: compare the models with recordings of real kernels and QEMU."""
