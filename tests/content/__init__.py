"""The shipped words: that they are whole, plain and render."""
