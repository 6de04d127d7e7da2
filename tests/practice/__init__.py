"""Practice: its file, its database, its people and its pages; and that no force's desk has any of it."""
