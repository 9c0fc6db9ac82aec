"""Stages `bitext` and `translator`: from units of one language to units of another."""
