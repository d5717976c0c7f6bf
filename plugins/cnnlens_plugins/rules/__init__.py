"""Rules over a tape: LRP, DeepLIFT, guided backpropagation and DeconvNet, in NumPy and for any framework."""
