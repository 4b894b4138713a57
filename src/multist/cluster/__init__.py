"""From an embedding to domains: arrays in, labels out."""
