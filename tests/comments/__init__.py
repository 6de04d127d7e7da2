"""Comments under posts, from what a person writes to what stands there and what arrives in private."""
