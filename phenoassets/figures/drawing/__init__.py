"""Every picture the platform shows: arrays and frames in, PNG bytes out.

One file a family: ``plates`` (in the shape of a plate), ``images`` (pictures of pictures), ``curves`` (over time),
``maps`` (points in the plane), ``answers`` (a screen's answers); ``style`` holds the colours and letters that all of
them share. Nothing is read, computed or decided here; the modules of ``figures`` fetch what is drawn.
"""
