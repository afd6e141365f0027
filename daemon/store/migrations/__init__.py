"""Schema migrations, run by `daemon.store.migrate`."""
