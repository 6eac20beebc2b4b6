"""How fast freehint is, beside plain C that does the same: ``python -m benchmarks.run``."""
