"""Language: prompts, vocabulary with SNOMED CT codes, text vectors."""
