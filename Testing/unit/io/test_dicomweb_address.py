import pytest

from dsm.errors import ConfigError, InputError
from dsm.io.dicomweb_address import DicomwebAddress, is_address

BASE = "https://pacs.example:8443/dicom-web"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (BASE, DicomwebAddress(BASE)),
        (f"{BASE}/", DicomwebAddress(BASE)),
        (f"{BASE}/studies", DicomwebAddress(BASE)),
        (f"{BASE}/studies/1.2", DicomwebAddress(BASE, "1.2")),
        (f"{BASE}/studies/1.2/series/3.4/", DicomwebAddress(BASE, "1.2", "3.4")),
        (f"{BASE}/studies?PatientID=A%201", DicomwebAddress(BASE, search=(("PatientID", "A 1"),))),
        ("http://127.0.0.1:8042/dicom-web", DicomwebAddress("http://127.0.0.1:8042/dicom-web")),
        ("http://[::1]/rs/studies/1.2", DicomwebAddress("http://[::1]/rs", "1.2")),
        ("https://pacs", DicomwebAddress("https://pacs")),
    ],
)
def test_addresses(text, expected):
    assert DicomwebAddress.parse(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "https://",
        "ftp://pacs/dicom-web",
        "https://pacs:port/dicom-web",
        f"{BASE}/studies/1.2/series/3.4/instances/5.6",
        f"{BASE}/studies/abc",
        f"{BASE}/studies/1.2#x",
    ],
)
def test_invalid_address_is_refused_with_an_example(text):
    with pytest.raises(InputError) as caught:
        DicomwebAddress.parse(text)
    assert caught.value.code == "dicomweb.address"
    assert "https://HOST/dicom-web/studies" in caught.value.hint


@pytest.mark.parametrize("host", ["pacs", "10.0.0.5", "127.0.0.1.example.org", "localhost.example.org"])
def test_plain_http_to_another_machine_is_refused(host):
    with pytest.raises(ConfigError, match="unencrypted") as caught:
        DicomwebAddress.parse(f"http://{host}/dicom-web")
    assert caught.value.code == "dicomweb.no_tls"
    assert "https://" in caught.value.hint


@pytest.mark.parametrize("text", ["https://anna:geheim@pacs/rs", "https://pacs/rs?access_token=geheim"])
def test_secret_in_the_address_is_refused_and_not_repeated(text):
    with pytest.raises(InputError) as caught:
        DicomwebAddress.parse(text)
    assert "geheim" not in caught.value.one_line
    assert "DSM_DICOMWEB_TOKEN" in caught.value.hint


def test_paths_are_not_addresses():
    assert is_address("HTTPS://pacs/rs")
    assert not is_address("scan.nii.gz")
    assert not is_address("C:/scan")
