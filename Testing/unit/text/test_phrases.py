"""Words that change the meaning of a phrase: understood or refused, never dropped."""

import pytest

from dsm.errors import PromptError
from dsm.text.prompt import parse_prompts

UNDERSTOOD = {
    "liver tumors": "liver tumor",
    "all liver tumors": "liver tumor",
    "multiple liver lesions": "liver tumor",
    "suspected liver tumor": "liver tumor",
    "malignant liver tumor": "liver tumor",
    "primary liver tumor": "liver tumor",
    "please segment the liver lesions": "liver tumor",
    "hepatocellular carcinoma (HCC)": "liver tumor",
    "metastasis of colon cancer in the liver": "liver metastasis",
    "liver metastases from colorectal cancer": "liver metastasis",
    "colorectal liver metastases": "liver metastasis",
    "non-small cell lung cancer": "lung tumor",
    "head and neck tumor": "head and neck tumor",
    "only the liver": "liver",
    "right kidney only": "right kidney",
    "nur die Leber": "liver",
    "foie uniquement": "liver",
    "solo hígado": "liver",
    "liver on MR": "liver",
}

REFUSED = {  # the name that is suggested instead, if any
    "liver tumor segment 4": "liver tumor",
    "liver tumor in segment 4": "liver tumor",
    "liver tumor segment IVa": "liver tumor",
    "HCC segment 8": "liver tumor",
    "largest liver tumor": "liver tumor",
    "small liver tumor": "liver tumor",
    "second liver tumor": "liver tumor",
    "liver tumor 2": "liver tumor",
    "5 cm liver tumor": "liver tumor",
    "liver tumour, 3cm": "liver tumor",
    "sub-cm liver lesions": "liver tumor",
    "solitary liver lesion": "liver tumor",
    "dominant liver lesion": "liver tumor",
    "benign liver tumor": "liver tumor",
    "calcified liver tumor": "liver tumor",
    "hypodense liver lesion": "liver tumor",
    "recurrent liver tumor": "liver tumor",
    "liver tumor after TACE": "liver tumor",
    "liver tumor rim": "liver tumor",
    "liver tumor (segment 4)": "liver tumor",
    "liver tumor with portal vein thrombus": "liver tumor",
    "liver tumor and cyst": "liver tumor",
    "liver tumor/cyst": None,
    "liver with tumor": "liver tumor",
    "tumor-free liver": "liver tumor",
    "non-tumor liver": "liver tumor",
    "subcapsular liver lesion": "liver tumor",
    "left liver lobe tumor": "liver tumor",
    "tumor in the right lobe of the liver": "liver tumor",
    "upper pole kidney tumor": "kidney tumor",
    "tumor of the kidney cortex": "kidney tumor",
    "pancreatic head tumor": "pancreatic tumor",
    "left upper lobe lung nodule": "left lung tumor",
    "kidney cyst upper pole": "kidney cyst",
    "anterior liver tumor": "liver tumor",
    "segment 4 of the liver": None,
    "healthy liver": None,
    "resected liver": None,
    "transplanted kidney": None,
    "liver (after resection)": None,
    "Leber Segment 4": None,
    "tumeur du foie segment 4": None,
    "größter Lebertumor": None,
    "non fegato": None,
    "bone metastasis L4": "bone metastasis",
    "tumor of the tongue": "head and neck tumor",
}

NEGATED = [
    "no tumor",
    "no liver tumor",
    "liver, not spleen",
    "right kidney only, not left",
    "liver (not tumor)",
    "kidneys without cysts",
    "liver w/o tumor",
    "liver minus tumor",
    "liver - tumor",
    "liver excluding tumor",
    "all except liver",
    "everything but the liver",
    "liver other than tumor",
    "absent gallbladder",
    "missing gallbladder",
    "neither kidney nor spleen",
    "Leber ohne Tumor",
    "kein Lebertumor",
    "keine Milz",
    "nicht die Leber",
    "alles außer Leber",
    "foie sans tumeur",
    "pas de foie",
    "pas d'estomac",
    "aucun rein",
    "tout sauf le foie",
    "hígado sin tumor",
    "ningún riñón",
    "todo excepto hígado",
    "fegato senza tumore",
    "nessun tumore",
    "tutto tranne fegato",
]


def test_number_of_phrases() -> None:
    assert len({*UNDERSTOOD, *REFUSED, *NEGATED}) >= 60


@pytest.mark.parametrize(("text", "name"), UNDERSTOOD.items())
def test_understood_phrases(text: str, name: str) -> None:
    (prompt,) = parse_prompts(text)
    assert prompt.structure is not None
    assert prompt.name == name


@pytest.mark.parametrize(("text", "suggested"), REFUSED.items())
def test_refused_phrases_have_a_suggestion(text: str, suggested: str | None) -> None:
    (prompt,) = parse_prompts(text)
    assert prompt.structure is None
    assert prompt.warnings
    assert suggested is None or prompt.suggestions[0] == suggested


@pytest.mark.parametrize("text", NEGATED)
def test_negated_phrases_are_refused(text: str) -> None:
    with pytest.raises(PromptError) as caught:
        parse_prompts(text)
    assert caught.value.code == "prompt.negation"
