"""The picture of each asset: what it needs is read from the store, then drawn by ``drawing``.

In go a screen, the table store and names; out come PNG bytes, or None where there is nothing to draw yet. One module a
group, named as the group's steps and assets are. A picture never makes an asset fail: see ``safely``. Reading is
bounded: large tables are sampled.
"""
