"""Speed and memory, each beside a baseline in the same run, as ratios. No test depends on them."""
