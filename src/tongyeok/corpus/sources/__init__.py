"""One importer per kind of corpus; each yields the recordings that the stage `corpus` checks and packs.

An importer is a module with a configuration class, whose field `importer` names it, and a function
`recordings(cfg, *, data, languages)` that lists what is there without loading audio; or, where rules of its own leave
something out, `listing(cfg, *, data, languages)`, which tells that too.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from pydantic import Discriminator

from tongyeok.corpus.recording import Listing
from tongyeok.corpus.sources import folder, prompts, sentences

# The loader picks the class by its field `importer`, so that messages speak of that importer's fields alone.
SourceConfig = Annotated[
    sentences.SentencesConfig | folder.FolderConfig | prompts.PromptsConfig, Discriminator("importer")
]


def listing(cfg: SourceConfig, *, data: Path, languages: Sequence[str]) -> Listing:
    """List the recordings of `languages` with the importer that `cfg` belongs to.

    Raises:
        CorpusError: the corpus's tables are missing or malformed.
    """
    if isinstance(cfg, prompts.PromptsConfig):
        return prompts.listing(cfg, data=data, languages=languages)
    if isinstance(cfg, sentences.SentencesConfig):
        return Listing(recordings=sentences.recordings(cfg, data=data, languages=languages))
    return Listing(recordings=folder.recordings(cfg, data=data, languages=languages))
