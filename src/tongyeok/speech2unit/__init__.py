"""Stages `kmeans`, `labels`, `hubert`, `units` and `unit_health`: from speech to discrete units."""
