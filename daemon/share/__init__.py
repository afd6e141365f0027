"""What leaves this instance: which kinds of data, what exactly would be next, and what has left."""
