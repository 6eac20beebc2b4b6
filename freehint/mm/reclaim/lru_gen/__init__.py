"""The multi-generation LRU, which kernels from 6.12 on use."""
