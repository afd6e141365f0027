"""What a member of a group runs: joining, talking to the host, the connection over Flower."""
