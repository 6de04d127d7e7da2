"""What every channel has in common: one renderer, and words of their own."""
