"""Kinds of names, by what a model has learned: the one place that tells them apart, before and after a run."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from types import MappingProxyType

from dsm.core.name_status import ImageRule, NameKind, NameStatus, names_of_other_modality
from dsm.core.prompt import Prompt
from dsm.core.structure import Structure
from dsm.text.vocabulary import Vocabulary, load_vocabulary

#: Organs of one tissue: a lesion is what differs from the rest of it (`dsm.inference.host_deviation`). What is in a
#: hollow organ, or in a gland thinner than its own border, is no sign of anything.
SOLID_ORGANS = frozenset({"liver", "spleen", "left kidney", "right kidney", "pancreas"})
LUNGS = frozenset({"left lung", "right lung"})
_NODULES = frozenset({"tumor", "metastasis"})
# Classes of lesion words that a network trained on tumors does not tell apart.
_MASSES = frozenset({"tumor", "metastasis", "cyst", "abscess", "sarcoma"})
_MOST_NEAR = 3
_NO_LIMITS: Mapping[str, Collection[str]] = MappingProxyType({})


def name_status(
    prompt: Prompt,
    learned: Collection[str],
    *,
    modality: str = "",
    only_in: Mapping[str, Collection[str]] = _NO_LIMITS,
) -> NameStatus:
    """Tell which kind of name a prompt is.

    Args:
        prompt: Parsed.
        learned: Names whose labels the model was shown (`ModelConfig.trained`).
        modality: `"CT"` or `"MR"`; empty where unknown, then a rule for either counts.
        only_in: Learned names that the model was shown in one modality alone (`ModelConfig.only_in`).
    """
    structure = prompt.structure
    limited = names_of_other_modality(only_in, modality)
    if structure is not None and structure.name in limited:
        return _of_other_modality(structure, limited[structure.name], modality)
    learned = [name for name in learned if name not in limited]
    if structure is not None and structure.name in learned:
        return NameStatus(NameKind.LEARNED)
    vocabulary = load_vocabulary()
    if structure is not None and structure.hosts:
        lesion_class = vocabulary.lesions.class_of(structure)
        if lesion_class in _MASSES:
            if name := _lesion_of_hosts(structure, learned, vocabulary):
                return _by_name(structure, name)
            if rule := _rule_for(structure, lesion_class, learned, modality):
                return _by_rule(structure, rule, modality)
    return _unknown(prompt, learned, vocabulary)


def _lesion_of_hosts(structure: Structure, learned: Collection[str], vocabulary: Vocabulary) -> str:
    """Return the learned lesion of all hosts of a lesion; empty if there is none."""
    for name in learned:
        other = vocabulary.get(name)
        if other and set(structure.hosts) <= set(other.hosts) and vocabulary.lesions.class_of(other) in _MASSES:
            return name
    return ""


def _rule_for(structure: Structure, lesion_class: str, learned: Collection[str], modality: str) -> ImageRule | None:
    hosts = {host for host in structure.hosts if host in SOLID_ORGANS | LUNGS}
    if not hosts or not hosts <= set(learned):
        return None
    if hosts <= SOLID_ORGANS:
        return ImageRule.ORGAN_OUTLIERS
    is_nodule = hosts <= LUNGS and lesion_class in _NODULES and modality in ("", "CT")
    return ImageRule.LUNG_NODULES if is_nodule else None


def _by_name(structure: Structure, name: str) -> NameStatus:
    side = f", on the {structure.laterality}" if structure.laterality else ""
    text = f"Segmented as '{name}'{side}: this model does not tell '{structure.name}' apart from it. Check the mask."
    return NameStatus(NameKind.RELATED, learned_name=name, code="name.related", text=text)


def _by_rule(structure: Structure, rule: ImageRule, modality: str) -> NameStatus:
    if rule is ImageRule.LUNG_NODULES:
        marked = (
            "what is solid and lies in aerated lung; what is below 15 mm, or lies flat at the chest wall or at the "
            "hilum, is missed"
        )
    else:
        how = {"CT": "is darker than", "MR": "differs from"}.get(modality, "differs from")
        marked = f"what {how} the rest of the {' and '.join(structure.hosts)}; vessels, fat and cysts can be among it"
    text = f"'{structure.name}' was not learned. By a rule on the image, marked is {marked}. Check the mask."
    return NameStatus(NameKind.RELATED, rule=rule, code="name.rule", text=text)


def _of_other_modality(structure: Structure, learned_in: str, modality: str) -> NameStatus:
    text = (
        f"This model has learned '{structure.name}' in {learned_in} only and marks nothing in {modality}; that says "
        "nothing about the scan."
    )
    return NameStatus(NameKind.UNKNOWN, code="name.modality", text=text)


def _unknown(prompt: Prompt, learned: Collection[str], vocabulary: Vocabulary) -> NameStatus:
    near = _near(prompt, learned, vocabulary)
    names = ", ".join(f"'{name}'" for name in near)
    what = f"This model does not know '{prompt.name}' and marks nothing; that says nothing about the scan."
    text = f"{what} It has learned: {names}." if near else what
    return NameStatus(NameKind.UNKNOWN, near=near, code="name.unknown", text=text)


def _near(prompt: Prompt, learned: Collection[str], vocabulary: Vocabulary) -> tuple[str, ...]:
    """Learned names that share words or hosts with the prompt, or that free text may be a misspelling of."""
    names = list(prompt.suggestions)
    if prompt.structure is None:
        names += vocabulary.suggest(prompt.text)
    hosts = prompt.structure.hosts if prompt.structure else ()
    words = {word for word in prompt.name.split() if len(word) > 2} - {"left", "right"}
    names += [*hosts, *(name for name in learned if words.intersection(name.split()))]
    return tuple(name for name in dict.fromkeys(names) if name in learned)[:_MOST_NEAR]
