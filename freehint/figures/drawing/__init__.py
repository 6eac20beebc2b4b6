"""The parts that all figures share: registry, style, palette, and export for papers."""
