"""The notebooks as a book: an offline website."""
