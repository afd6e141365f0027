"""What the members of a group and its host sign: enrolments, epochs, published sums. Pure."""
