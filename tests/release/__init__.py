"""What is published: `python -m tests.release` checks that it may be, and builds it."""
