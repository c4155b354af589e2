"""What everything else stands on: artefacts, records, registries, refusals, seeds, the log."""
