"""pixfound: does a multi-modal model see what it says? Paired VQA and grounding, for any model."""

import os

# On a CPU the sums inside MKL's matrix products otherwise depend on the number of threads, and a peak of attention
# between two nearly equal pixels with them: one process with four threads and four with one would score differently.
os.environ.setdefault("MKL_CBWR", "AVX2,STRICT")

__version__ = "0.1.0"
