"""`shoal simulate`: what a group of many costs, how often its sums complete, what it is worth."""
