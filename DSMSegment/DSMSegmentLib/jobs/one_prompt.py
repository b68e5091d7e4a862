"""Text that has to name one structure."""

from __future__ import annotations

from dsm.core.prompt import Prompt
from dsm.errors import InputError
from dsm.text.prompt import parse_prompts


def parseOne(text: str) -> Prompt:
    """Parse a text that names one structure.

    Raises:
        InputError: If it names several.
        PromptError: If it is no prompt.
    """
    prompts = parse_prompts(text)
    if len(prompts) > 1:
        names = ", ".join(one.name for one in prompts)
        raise InputError(f"'{text}' names several structures ({names}).", code="input.prompt", hint="Name one.")
    return prompts[0]
