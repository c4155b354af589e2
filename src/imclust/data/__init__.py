"""Images and texts: finding, decoding, batching, augmenting."""
