"""Two models on one page: whether reasoning went up or down, and perception, and where each forgets the image."""
