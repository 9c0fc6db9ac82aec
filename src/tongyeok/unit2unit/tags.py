"""Language tags of the `prefix` convention: `<ko> 12 5 …` on both sides."""


def tag(language: str) -> str:
    """The tag of a language (ISO 639), as it stands in dict.txt and at the head of each sentence."""
    return f"<{language}>"
