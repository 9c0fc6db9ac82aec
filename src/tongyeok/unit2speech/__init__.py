"""Stage `vocoder`: from units back to speech."""
