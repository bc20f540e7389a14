"""pixfound: does a multi-modal model see what it says? Paired VQA and grounding, for any model."""

__version__ = "0.1.0"
