"""What a study may judge trials by, all of it on the valid split, and all but unit-BLEU comparable across codebooks."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True, slots=True)
class Figure:
    """One figure: which way is better, which studies may use it, and what it is."""

    direction: Literal["minimize", "maximize"]
    kinds: tuple[str, ...]
    meaning: str

    @property
    def sign(self) -> int:
        """1 where less is better, -1 where more is."""
        return 1 if self.direction == "minimize" else -1


FIGURES = {
    "resynthesis_wer": Figure(
        direction="minimize", kinds=("units",), meaning="WER, %, of speech rebuilt from its own units, heard by the ASR"
    ),
    "resynthesis_cer": Figure(
        direction="minimize", kinds=("units",), meaning="CER, %, of speech rebuilt from its own units, heard by the ASR"
    ),
    "units_per_second": Figure(
        direction="minimize",
        kinds=("units",),
        meaning="units a second without repeats: what a translator has to go through",
    ),
    "asr_bleu": Figure(
        direction="maximize", kinds=("units", "translator"), meaning="ASR-BLEU of translated speech, mean of directions"
    ),
    "unit_bleu": Figure(
        direction="maximize",
        kinds=("translator",),
        meaning="BLEU of translated units; depends on K, which is fixed here",
    ),
    "parameters": Figure(direction="minimize", kinds=("translator",), meaning="weights of the translator"),
    "translation_ms": Figure(
        direction="minimize",
        kinds=("translator",),
        meaning="ms a sentence of translating units, with one worker's threads",
    ),
}
