"""From a volume and prompts to masks on the input grid."""
