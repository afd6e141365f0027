"""Experiments on one machine: the demo, evaluations, simulations. No instance runs them, and nothing imports them."""
