"""What the product costs, as ratios against named peers and limits, measured side by side in one run. See docs/benchmarks.md."""
