"""Stages `translate_test` and `evaluate`: translate the test set and score it beside its ceilings."""
