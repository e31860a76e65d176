"""How networks are trained: crops of training images, the autoencoder, and the weights that are shipped."""
