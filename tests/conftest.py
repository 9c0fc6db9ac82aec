"""What holds in every test: nothing is tracked, one thread, no network, no home caches."""

import os

os.environ["TONGYEOK_TRACKING"] = "off"
os.environ["HF_HUB_OFFLINE"] = "1"
for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"
