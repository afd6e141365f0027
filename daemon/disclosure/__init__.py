"""What leaves this instance: what would be next, what has left, and what it tells about viewers."""
