"""One folder that makes a submission again elsewhere."""
