"""What only the host of a group runs: SuperLink, reverse proxy, joining and leaving, epochs, rounds."""
