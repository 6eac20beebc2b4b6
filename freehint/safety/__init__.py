"""Can hinting corrupt memory?  Every interleaving of a small guest: ``freehint explore``."""
