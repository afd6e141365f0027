"""What a member of a group runs: joining and leaving, messages with the host, the connection to Flower."""
