"""Models in 8 bits, pruned or not: trained for it or not, served by ONNX Runtime, timed beside the whole model."""
