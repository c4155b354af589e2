"""From features to clusters: methods, label-free choice, the number of clusters, constraints."""
