"""German, French and Spanish names of structures that models have learned or will be asked for most.

Source: written by hand for this program from general usage; not reviewed by native clinicians. Larger tables that
were considered: `docs/reference/problems.md`. Names of paired structures are without their side, which `dsm.text.words`
reads. Latin names are synonyms in `vocabulary.json`. Accents and case do not matter. What is not here is an unknown
name, which gets no mask.
"""

from __future__ import annotations

#: Words between the others that name nothing.
ARTICLES = frozenset(
    {"der", "die", "das", "des", "dem", "den"}
    | {"le", "la", "les", "du", "de", "des", "un", "une"}
    | {"el", "los", "las", "del", "de", "al", "una"}
    | {"nur", "seulement", "uniquement", "solo", "solamente", "soltanto"}
)

FOREIGN_NAMES: dict[str, tuple[str, ...]] = {
    "spleen": ("Milz", "rate", "bazo"),
    "kidney": ("Niere", "Nieren", "rein", "reins", "riñón", "riñones"),
    "gallbladder": ("Gallenblase", "vésicule biliaire", "vesícula biliar"),
    "esophagus": ("Speiseröhre", "Ösophagus", "œsophage", "oesophage", "esófago"),
    "liver": ("Leber", "foie", "hígado"),
    "stomach": ("Magen", "estomac", "estómago"),
    "aorta": ("Hauptschlagader", "aorte", "aorta"),
    "inferior vena cava": ("untere Hohlvene", "veine cave inférieure", "vena cava inferior"),
    "pancreas": ("Bauchspeicheldrüse", "pancréas", "páncreas"),
    "adrenal gland": (
        *("Nebenniere", "Nebennieren", "glande surrénale", "surrénale", "glandes surrénales", "surrénales"),
        *("glándula suprarrenal", "glándula adrenal", "glándulas suprarrenales"),
    ),
    "lung": ("Lunge", "Lungen", "Lungenflügel", "poumon", "poumons", "pulmón", "pulmones"),
    "duodenum": ("Zwölffingerdarm", "duodénum", "duodeno"),
    "colon": ("Dickdarm", "gros intestin", "côlon", "intestino grueso"),
    "small intestine": ("Dünndarm", "intestin grêle", "intestino delgado"),
    "rectum": ("Enddarm", "Mastdarm", "recto"),
    "urinary bladder": ("Harnblase", "Blase", "vessie", "vejiga", "vejiga urinaria"),
    "prostate": ("Vorsteherdrüse", "próstata"),
    "heart": ("Herz", "cœur", "coeur", "corazón"),
    "left atrium": ("linker Vorhof", "oreillette gauche", "atrio izquierdo"),
    "left ventricle": ("linke Herzkammer", "linker Ventrikel", "ventricule gauche", "ventrículo izquierdo"),
    "right ventricle": ("rechte Herzkammer", "rechter Ventrikel", "ventricule droit", "ventrículo derecho"),
    "myocardium": ("Herzmuskel", "Myokard", "myocarde", "miocardio"),
    "brain": ("Gehirn", "Hirn", "cerveau", "encéphale", "cerebro", "encéfalo"),
    "brainstem": ("Hirnstamm", "tronc cérébral", "tronco encefálico"),
    "spinal cord": ("Rückenmark", "moelle épinière", "médula espinal"),
    "parotid gland": ("Ohrspeicheldrüse", "Parotis", "glande parotide", "parotide", "glándula parótida", "parótida"),
    "larynx": ("Kehlkopf", "laringe"),
    "mandible": ("Unterkiefer", "mandibule", "mandíbula"),
    "femur": ("Oberschenkelknochen", "fémur"),
    "liver tumor": ("Lebertumor", "Leberkrebs", "tumeur du foie", "tumeur hépatique", "tumor hepático"),
    "liver metastasis": ("Lebermetastase", "Lebermetastasen", "métastase hépatique", "metástasis hepática"),
    "kidney tumor": ("Nierentumor", "tumeur du rein", "tumeur rénale", "tumor renal"),
    "lung tumor": ("Lungentumor", "tumeur du poumon", "tumeur pulmonaire", "tumor pulmonar"),
    "pancreatic tumor": ("Pankreastumor", "tumeur du pancréas", "tumor pancreático"),
    "brain tumor": ("Hirntumor", "Gehirntumor", "tumeur cérébrale", "tumor cerebral"),
}
