"""What all figures share: the registry, the style, the palette and export for papers."""
