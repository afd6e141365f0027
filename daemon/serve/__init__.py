"""The serving process: the loopback API, the listener for peers, the scheduler. No torch, no scipy."""
