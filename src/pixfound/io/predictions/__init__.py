"""Reading what other programs predicted: the files that the paper's repository writes, and COCO results."""
