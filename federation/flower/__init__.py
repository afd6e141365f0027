"""The protocol over Flower, for groups. Whatever touches `flwr` is here: it changes fast, and is pinned."""
