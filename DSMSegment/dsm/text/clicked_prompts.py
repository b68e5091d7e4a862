"""Prompts with clicks from names and points, as files and command lines give them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from dsm.core.click import Click
from dsm.core.prompt import Prompt
from dsm.errors import PromptError
from dsm.text.prompt import parse_prompts


def with_clicks(prompts: Sequence[Prompt], clicks: Iterable[tuple[str, Click]]) -> list[Prompt]:
    """Give prompts their clicks.

    Args:
        prompts: Parsed.
        clicks: Names, in any spelling, and clicks in their order.

    Returns:
        The prompts, with the clicks on their names; then those that the clicks alone name.

    Raises:
        PromptError: If a name is none, or names several structures.
    """
    found = {prompt.name: prompt for prompt in prompts}
    for text, click in clicks:
        named = parse_prompts(text)
        if len(named) != 1:
            names = " and ".join(prompt.name for prompt in named)
            raise PromptError(
                f"A click is on one structure, and {text!r} names {names}.", hint="Click on each of them by its name."
            )
        prompt = found.get(named[0].name, named[0])
        found[prompt.name] = replace(prompt, clicks=(*prompt.clicks, click))
    return list(found.values())
