"""What only the host of a group runs: SuperLink, reverse proxy, enrolment, epochs, published sums."""
