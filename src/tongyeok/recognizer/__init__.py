"""A recogniser trained on the corpus itself, which judges languages that no public model understands."""
