"""The local API: what the plugin, and programs on this machine, ask the daemon."""
