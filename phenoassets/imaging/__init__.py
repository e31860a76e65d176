"""Images: reading, quality, illumination, correction recipes and the OME-Zarr store.

Arrays and files go in, arrays, measures and table rows come out. Names of files and plate maps are the business of
``incucyte``, embeddings that of ``embedding``; nothing here knows a treatment.
"""
