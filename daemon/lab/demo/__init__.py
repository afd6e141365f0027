"""Several instances on one machine that learn together, with everything real but the people."""
