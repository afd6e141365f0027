"""The daemon beside an instance: the only package that wires models, federation and policies together."""
