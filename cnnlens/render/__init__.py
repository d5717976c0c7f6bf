"""Panels in, pixels out. This room knows no model, no plugin and no Flask."""
