"""Prompts, vocabulary with SNOMED CT codes, text embeddings."""
