"""Nouns of the project: audio, utterances, manifests, unit sequences and their file formats."""
