"""One module per schema, in order."""
