"""Metis: a video expert and an action expert in one mixture of transformers; it plans without generating video."""
