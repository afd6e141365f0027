"""What sums give away, in numbers and in plain words: behind `shoal privacy` and `shoal sessions show`."""
