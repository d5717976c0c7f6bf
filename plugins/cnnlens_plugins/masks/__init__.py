"""Visualisers that hide parts of the picture and watch the score: squares, random masks, superpixels, smooth masks."""
