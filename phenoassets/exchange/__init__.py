"""Doors for profiles: files of other tools come in as a model, and normalized profiles go out as they take them."""
