"""What assets are handed: the screen, its tables, its images and the compute device.

Each resource holds a few plain settings and hands out plain objects of ``phenoassets``; it does no science.
"""
