"""The visualisers that cnnlens ships, each a plugin like any guest's: one file, one entry point."""
