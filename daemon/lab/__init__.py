"""Experiments on one machine: demo, evaluate, simulate, measure. Only the command line and tests import them."""
