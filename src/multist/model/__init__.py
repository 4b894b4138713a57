"""The network: arrays and tensors in, arrays out."""
