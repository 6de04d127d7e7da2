"""How understanding is measured, and that nobody in danger is missed more often than before."""
