"""What one chapter of ``notebooks/`` needs and nothing else does, a module a chapter.

Experiments that make a table, and pictures that put several together; the sentences stay in
the notebook.
"""
