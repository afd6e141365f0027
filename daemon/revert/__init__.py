"""Taking a peer's learning out: at once out of service, then out of the store, then shown to be gone."""
