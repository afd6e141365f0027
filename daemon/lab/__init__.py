"""Experiments on one machine: demo, evaluate, simulate, measure. Only cli and tests import them."""
