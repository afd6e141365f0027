"""Peers: what the admin decided about each, and how they are reached."""
