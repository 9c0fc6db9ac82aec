"""Optuna studies of units and translator: search spaces, trials made of the flow's stages, workers, promotion."""
