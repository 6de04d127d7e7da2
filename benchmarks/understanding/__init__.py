"""How well messages are understood: our held-out set, and public benchmarks."""
