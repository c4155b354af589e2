"""Stages: one file each, one command each; they meet only through artefacts on disk."""
