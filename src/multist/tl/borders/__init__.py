"""What happens where domains touch, and their outlines."""
