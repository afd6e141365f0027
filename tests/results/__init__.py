"""`make results`: measures every data set that is there, and writes docs/results.md with its pictures."""
