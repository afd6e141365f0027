"""Groups: one host, one shared sum, many members; carried by Flower."""
