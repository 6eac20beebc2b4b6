"""The version of freehint."""

__version__ = "0.1.0"
