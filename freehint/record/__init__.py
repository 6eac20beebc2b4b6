"""Record real kernels: guests under QEMU between exact snapshots, and snapshots of dumps."""
