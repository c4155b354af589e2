"""Commands that run the stages, one after another; one file each."""
