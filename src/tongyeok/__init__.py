"""Tongyeok (통역): reproducible training of textless speech-to-speech translation."""

__version__ = "0.1.0"
