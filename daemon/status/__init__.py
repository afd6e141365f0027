"""How the instance is: one view for the admin page, commands and metrics, and what waits for the admin."""
