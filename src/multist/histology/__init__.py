"""From an image patch to a vector."""
