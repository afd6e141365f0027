"""What people paste as the address of an instance leads to its host name, or is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.config.pasted_host import LONGEST, NoHostError, pasted_host
from daemon.config.types import check_host


@pytest.mark.parametrize(
    "pasted",
    [
        "video.example",
        "https://video.example",
        "https://video.example/",
        "http://video.example:80/w/abc?start=3s#comments",
        "https://video.example:443",
        "HTTPS://Video.Example",
        "video.example/about/instance",
        "video.example?languageOneOf=fr",
        "https://video.example/a/name@other.example/video-channels",
        "@name@video.example",
        "name@video.example",
        "@video.example",
        "acct:name@video.example",
        "  video.example\n",
        "<https://video.example>",
        '"video.example"',
        "\u200bvideo.example\ufeff",
        "video.example.",
    ],
)
def test_all_forms_of_an_address_lead_to_the_host(pasted: str) -> None:
    assert pasted_host(pasted) == "video.example"


@pytest.mark.parametrize(
    ("pasted", "host"),
    [
        ("https://video.example:8443/about", "video.example:8443"),
        ("video.example:09000", "video.example:9000"),
        ("localhost:9000", "localhost:9000"),
        ("http://127.0.0.1:9000/", "127.0.0.1:9000"),
        ("https://Bücher.example/about", "xn--bcher-kva.example"),
        # As browsers do, and not as the older IDNA 2003, which makes "strasse" of it.
        ("straße.example", "xn--strae-oqa.example"),
        ("@nom@видео.example:8443", "xn--b1aedk6a.example:8443"),
    ],
)
def test_ports_and_names_in_other_scripts(pasted: str, host: str) -> None:
    assert pasted_host(pasted) == host


@pytest.mark.parametrize(
    "pasted",
    [
        "",
        " ",
        "@",
        "https://",
        "not a host",
        "two.example three.example",
        "-a.example",
        "a..b",
        "ftp://video.example",
        "video.example:0",
        "video.example:99999",
        "video.example:http",
        "video.example:٩",
        "[::1]:9000",
        # Whose address is this? The second host may be somebody else's.
        "https://good.example@evil.example/",
        "name@good.example@evil.example",
        "a" * 64 + ".example",
        "ü" * LONGEST,
        "video.example/" + "a" * LONGEST,
    ],
)
def test_what_names_no_instance_is_refused_in_words(pasted: str) -> None:
    with pytest.raises(NoHostError, match="is not the address of an instance"):
        pasted_host(pasted)


_PIECES = st.sampled_from(
    [
        "https://",
        "http://",
        "acct:",
        "@",
        "/",
        ":",
        ".",
        "443",
        "80",
        "video",
        "example",
        "ü",
        "。",
        "xn--",
        " ",
        "-",
    ]
)


@given(st.one_of(st.text(max_size=40), st.lists(_PIECES, max_size=9).map("".join)))
def test_anything_is_a_host_or_refused_and_a_host_stays_as_it_is(text: str) -> None:
    try:
        host = pasted_host(text)
    except NoHostError:
        return
    assert check_host(host) == host
    assert pasted_host(host) == host
