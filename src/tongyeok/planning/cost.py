"""The figures of one training, and how memory and hours follow from one counted step.

Memory of a training on one device: float32 weights (4 bytes a parameter), their gradients (4), Adam's two averages (8),
and what autograd keeps of one batch between forward and backward pass, bfloat16 copies of weights included. That part
is counted, not estimated (`tongyeok.engine.counting`). Not in it: buffers that live shorter than a pass, workspaces of
kernels, the CUDA context, fragmentation, and with several devices the copies of gradients that are exchanged. Leave a
tenth to a fifth of the memory free.

Hours: counted operations of all updates, over the peak rate of a device and the share of it that a training is assumed
to reach. Norms, softmax and losses are not counted, data loading is taken to keep up, padding counts as speech, no
layer is dropped, and the recogniser learns whole from its first update on. Rates of float32 are without TensorFloat-32.
"""

from dataclasses import dataclass

from tongyeok.base.products import Products

WEIGHT, GRADIENT, ADAM = 4, 4, 8  # bytes a parameter


@dataclass(frozen=True, kw_only=True, slots=True)
class Gpu:
    """A GPU's dense peak rates in TFLOP/s, and the share of them that a training is assumed to reach."""

    bfloat16_tflops: float
    float32_tflops: float
    utilisation: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Training:
    """What one training takes."""

    name: str  # stage, with its iteration
    parameters: int  # trained ones
    updates: int
    amount: float  # of material per update …
    unit: str  # … in this unit
    products: Products
    kept_bytes: int  # by autograd, of one batch
    flops: int  # of one update, forward and backward

    @property
    def weights_bytes(self) -> int:
        """Of the weights."""
        return WEIGHT * self.parameters

    @property
    def gradients_bytes(self) -> int:
        """Of their gradients."""
        return GRADIENT * self.parameters

    @property
    def adam_bytes(self) -> int:
        """Of Adam's averages."""
        return ADAM * self.parameters

    @property
    def memory_bytes(self) -> int:
        """In all."""
        return self.weights_bytes + self.gradients_bytes + self.adam_bytes + self.kept_bytes

    def hours(self, gpu: Gpu) -> float:
        """Hours of all updates on one GPU; on several, divided by their number at best."""
        peak = gpu.float32_tflops if self.products == "float32" else gpu.bfloat16_tflops
        return self.updates * self.flops / (peak * 1e12 * gpu.utilisation) / 3600
