"""The command line: one of the two doors that look up to the platform.

``main`` parses and prints; each other module is one command's work with Dagster.
"""
