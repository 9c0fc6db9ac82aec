"""The room: all code that imports fairseq. It is also fairseq's `--user-dir`.

Importing it registers this project's tasks, models and criteria with fairseq and lets fairseq's own `torch.load` read
its checkpoints safely. fairseq imports a user dir by its bare folder name, which is this package's name.
"""

import logging
import sys
import warnings
from types import ModuleType

# For its tasks of classification fairseq imports scikit-learn and scipy's statistics, a third of the time that the
# command `translate` takes to start. Nothing here classifies: names without a meaning stand in for what they import.
CLASSIFIES = {
    "sklearn": ("metrics",),
    "sklearn.metrics": ("f1_score", "matthews_corrcoef"),
    "scipy.stats": ("pearsonr", "spearmanr"),
}
spared = [name for name in CLASSIFIES if name not in sys.modules]
for name in spared:
    sys.modules[name] = ModuleType(name)
    vars(sys.modules[name]).update(dict.fromkeys(CLASSIFIES[name]))

root = logging.getLogger()
handlers, level, disabled = list(root.handlers), root.level, root.manager.disable
logging.disable(logging.INFO)  # while it is imported, fairseq configures the root logger and talks through it
with warnings.catch_warnings():  # and warns under torch 2.13
    warnings.filterwarnings("ignore", message=r"`torch\.jit\.script` is deprecated", category=DeprecationWarning)
    from tongyeok_fairseq import hubert_model, hubert_task, safety
logging.disable(disabled)
root.handlers[:] = handlers
root.setLevel(level)
for name in spared:
    del sys.modules[name]

__all__ = ["hubert_model", "hubert_task", "safety"]

safety.allow_safe_globals()
