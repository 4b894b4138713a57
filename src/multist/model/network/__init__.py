"""What is trained: the only files of the model that use torch, beside reading and writing weights."""
