"""What is computed of spots and their neighbours without training: numpy arrays in, arrays out."""
