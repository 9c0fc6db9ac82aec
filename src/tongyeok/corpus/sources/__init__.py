"""One importer per kind of corpus; each yields the recordings that the stage `corpus` checks and packs."""
