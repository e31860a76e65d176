"""What a sensor decides, one module a sensor: pure plans of which runs to ask for.

In go observations and what was known; out come requests and what is now known. Nothing here knows Dagster.
"""
