"""The world: the state that all actors share, and the small kernels that change it."""
