"""Stages `corpus` and `manifest`: from raw corpora to checked 16 kHz audio packs and leak-free splits."""
