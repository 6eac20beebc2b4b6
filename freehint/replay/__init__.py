"""Replay and prediction: the models, held against recordings of real kernels and QEMU."""
