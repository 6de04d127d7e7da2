"""Front Counter: what stands between the public and a police force on its social channels."""
