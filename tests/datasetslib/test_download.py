"""Every way in which a download can fail, against a server on loopback."""

import errno
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from dataclasses import replace
from email.utils import formatdate
from types import SimpleNamespace
from urllib.parse import urlsplit

import pytest
import toysets

from datasetslib import download, manifest, store
from datasetslib.errors import CacheError, DownloadError, IntegrityError, SourceError

BINARY, PYTHON = "toy-binary.tar.gz", "toy-python.tar.gz"
IMAGES = "train-images.gz"


def fails(kind, name, *words):
    """Load a data set, expect a failure, and check what its message says."""
    with pytest.raises(kind) as error:
        store.load(name)
    text = str(error.value)
    assert all(label in text for label in ("expected:", "found:", "remedy:")), text
    assert all(word in text for word in words), text
    return text


def by_hand(cache, dataset, filename):
    return str(cache / dataset / "downloads" / filename), "DATASETSLIB_HOME"


# ---------------------------------------------------------------- what works


@pytest.mark.parametrize("name", ["toydigits", "toypictures"])
def test_first_load_downloads_and_the_second_does_not(mirror, cache, name):
    arrays, edition = store.load(name)
    assert str(edition) == f"{name}: official bytes, from 127.0.0.1"
    assert len(mirror.requests) == len(manifest.DATASETS[name].needs)
    again, edition = store.load(name)
    assert str(edition) == f"{name}: official bytes, from the cache"
    assert len(mirror.requests) == len(manifest.DATASETS[name].needs)
    assert all((arrays[key] == again[key]).all() for key in arrays)
    assert not list(cache.rglob("*.part*"))


def test_mirror_may_hold_the_files_side_by_side(mirror):
    mirror.plans = [{"status": 404}, {"status": 404}]
    store.load("toypictures")
    assert mirror.paths() == [
        f"/toypictures/{BINARY}",
        f"/toypictures/{PYTHON}",
        f"/{BINARY}",
    ]


def test_file_urls_work_as_a_mirror(toys, toy_packages, tmp_path, monkeypatch):
    folder = tmp_path / "a mirror"
    folder.mkdir()
    (folder / BINARY).write_bytes(toy_packages[BINARY])
    monkeypatch.setenv("DATASETSLIB_MIRROR", folder.as_uri())
    _, edition = store.load("toypictures")
    assert str(edition) == "toypictures: official bytes, from a file:// mirror"


def test_python_archive_gives_the_same_edition(mirror):
    del mirror.files[BINARY]
    _, edition = store.load("toypictures")
    assert edition.kind == "official"
    assert edition.digest == manifest.DATASETS["toypictures"].digest()


def test_mirrors_are_asked_in_order_and_the_origin_last(mirror, monkeypatch):
    monkeypatch.delenv("DATASETSLIB_MIRROR")
    toy = manifest.DATASETS["toypictures"]
    mirrors = ((f"{mirror.url}/first/", BINARY), (f"{mirror.url}/second/", PYTHON))
    mirrors += ((f"{mirror.url}/origin/", BINARY),)
    monkeypatch.setitem(manifest.DATASETS, "toypictures", replace(toy, mirrors=mirrors))
    mirror.plans = [{"status": 404}, {"status": 403}]
    store.load("toypictures")
    assert mirror.paths() == [f"/first/{BINARY}", f"/second/{PYTHON}", f"/origin/{BINARY}"]


def test_own_mirror_comes_before_the_others(mirror, monkeypatch):
    toy = manifest.DATASETS["toypictures"]
    mirrors = ((f"{mirror.url}/other/", BINARY),)
    monkeypatch.setitem(manifest.DATASETS, "toypictures", replace(toy, mirrors=mirrors))
    mirror.plans = [{"status": 404}] * 4
    store.load("toypictures")
    assert mirror.paths()[0] == f"/toypictures/{BINARY}"
    assert mirror.paths()[-1] == f"/other/{BINARY}"


@pytest.fixture
def far_and_near(mirror, monkeypatch):
    """Function: load with the environment given, from a mirror abroad, one in China and the origin.

    It returns the folders that were asked, in order; all of them are this machine.
    """
    near = mirror.url.replace("127.0.0.1", "localhost")
    toy = manifest.DATASETS["toypictures"]
    bases = (f"{mirror.url}/abroad/", f"{near}/china/", f"{near}/more/", f"{mirror.url}/origin/")
    monkeypatch.setitem(manifest.DATASETS, "toypictures",
                        replace(toy, mirrors=tuple((base, BINARY) for base in bases)))
    monkeypatch.setattr(manifest, "FAST_IN_CHINA", ("localhost",))
    for name in ("DATASETSLIB_MIRROR", "LC_ALL", "LC_MESSAGES", "LANG"):
        monkeypatch.delenv(name, raising=False)

    def asked(**environment):
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        mirror.plans = [{"status": 404}] * 9
        with pytest.raises(DownloadError):
            store.load("toypictures", "mirrors")
        return [path.split("/")[1] for path in mirror.paths()]

    return asked


@pytest.mark.parametrize("environment", [
    {"DATASETSLIB_MIRROR": "china"},
    {"LANG": "zh_CN.UTF-8"},
    {"LC_MESSAGES": "zh_CN", "LANG": "en_US.UTF-8"},
    {"LC_ALL": "zh_Hans_CN.UTF-8", "LC_MESSAGES": "C"},
    {"LANG": "zh-CN"},
])
def test_where_it_is_china_the_mirrors_there_come_first(far_and_near, environment):
    assert far_and_near(**environment) == ["china", "more", "abroad", "origin"]


@pytest.mark.parametrize("environment", [
    {}, {"LANG": "zh_TW.UTF-8"}, {"LANG": "en_US.UTF-8"}, {"LANG": ""},
    {"LC_ALL": "C", "LANG": "zh_CN.UTF-8"},
])
def test_elsewhere_they_keep_their_order(far_and_near, environment):
    assert far_and_near(**environment) == ["abroad", "china", "more", "origin"]


def test_ones_own_mirror_comes_first_in_china_too(far_and_near, mirror):
    asked = far_and_near(DATASETSLIB_MIRROR=f"{mirror.url}/own", LANG="zh_CN.UTF-8")
    assert asked[0] == "own" and asked[-4:] == ["china", "more", "abroad", "origin"]


@pytest.mark.parametrize("name", manifest.DATASETS)
def test_each_data_set_has_a_mirror_in_china(name):
    hosts = [urlsplit(base).hostname for base, _ in manifest.DATASETS[name].mirrors]
    assert any(host.endswith(manifest.FAST_IN_CHINA) for host in hosts)


@pytest.mark.parametrize("name", manifest.DATASETS)
def test_manifest_names_the_origin_last(name):
    origin = {"mnist": "yann.lecun.com", "cifar10": "www.cs.toronto.edu"}[name]
    bases = [base for base, _ in manifest.DATASETS[name].mirrors]
    assert all(base.startswith("https://") and base.endswith("/") for base in bases)
    assert [origin in base for base in bases] == [False] * (len(bases) - 1) + [True]


def test_url_as_source_is_the_only_one_asked(mirror, monkeypatch):
    monkeypatch.setenv("DATASETSLIB_MIRROR", "http://127.0.0.1:1/")
    _, edition = store.load("toydigits", mirror.url)
    assert edition.origin == "127.0.0.1"


def test_gzip_label_put_on_by_a_server_is_ignored(mirror):
    mirror.usual = {"headers": {"Content-Encoding": "gzip"}}
    assert store.load("toydigits")[1].kind == "official"
    assert store.load("toypictures")[1].kind == "official"


def test_server_may_decompress_on_the_way(mirror):
    mirror.files |= {f"{name}.gz": data for name, data in toysets.digits().items()}
    assert store.load("toydigits")[1].kind == "official"


def test_file_put_into_the_cache_by_hand_is_used(mirror, cache, toy_packages):
    path = cache / "toypictures" / "downloads" / BINARY
    path.parent.mkdir(parents=True)
    path.write_bytes(toy_packages[BINARY])
    _, edition = store.load("toypictures")
    assert (edition.origin, mirror.requests) == ("the cache", [])


def test_wrong_file_put_there_by_hand_is_named_and_left_alone(mirror, cache):
    path = cache / "toypictures" / "downloads" / BINARY
    path.parent.mkdir(parents=True)
    path.write_bytes(b"not it")
    mirror.usual = {"status": 404}
    fails(DownloadError, "toypictures", f"{path}: 6 bytes with another digest", "HTTP 404")
    assert path.read_bytes() == b"not it"
    mirror.usual = {}
    store.load("toypictures")
    assert path.read_bytes() == mirror.files[BINARY]


# ---------------------------------------------------------------- wrong bytes


@pytest.mark.parametrize(
    ("name", "filename", "found"),
    [("toydigits", IMAGES, "breaks off"), ("toypictures", BINARY, "20,000 bytes")],
)
def test_truncated_download(mirror, cache, snapshot, name, filename, found):
    mirror.files[filename] = mirror.files[filename][:20_000].ljust(20_000, b"\0")
    mirror.files.pop(PYTHON)
    if name == "toydigits":
        mirror.files[filename] = mirror.files[filename][:20_000]
    fails(IntegrityError, name, filename, found, *by_hand(cache, name, filename))
    assert snapshot(cache) == {}


def test_truncated_download_of_unknown_length(mirror, cache, snapshot):
    whole = mirror.files[BINARY]
    mirror.usual = {"body": whole[:5000], "length": False, "ranges": False}
    fails(DownloadError, "toypictures", f"after 5,000 of {len(whole):,} bytes")


@pytest.mark.parametrize(("name", "filename"), [("toydigits", IMAGES), ("toypictures", BINARY)])
def test_right_size_but_wrong_digest(mirror, cache, snapshot, name, filename):
    if name == "toydigits":
        data = bytearray(toysets.digits()["train-images"])
        data[1000] ^= 1
        mirror.files[filename] = toysets.zipped(bytes(data))
        sha256 = manifest.DATASETS[name].contents[0].sha256
    else:
        data = bytearray(mirror.files[filename])
        data[-1] ^= 1
        mirror.files[filename] = bytes(data)
        sha256 = manifest.DATASETS[name].packages[0].sha256
    text = fails(IntegrityError, name, filename, sha256, *by_hand(cache, name, filename))
    assert f"{len(mirror.files[filename]):,} bytes with another digest" in text
    assert snapshot(cache) == {}


@pytest.mark.parametrize("name", ["toydigits", "toypictures"])
def test_html_page_with_status_200(mirror, cache, snapshot, name):
    page = b"<!DOCTYPE html><title>Please log in</title>"
    mirror.usual = {"body": page, "headers": {"Content-Type": "text/html"}}
    fails(
        IntegrityError, name, mirror.url, "a web page of 43 bytes", "<!DOCTYPE html>", "login page"
    )
    assert snapshot(cache) == {}
    assert len(mirror.requests) == 1  # one page is enough to know the server


def test_endless_body_is_cut_at_the_limit(mirror, cache, snapshot):
    mirror.usual = {"body": bytes(2_000_000), "length": False}
    fails(
        IntegrityError,
        "toydigits",
        mirror.url,
        f"more than {313_616 + store.GZIP_OVERHEAD:,} bytes",
    )
    assert snapshot(cache) == {}


# ---------------------------------------------------------------- refusals


@pytest.mark.parametrize("status", [403, 404])
def test_refusal_is_final(mirror, cache, snapshot, status):
    mirror.usual = {"status": status}
    fails(
        DownloadError, "toydigits", mirror.url, f"HTTP {status}", *by_hand(cache, "toydigits", "")
    )
    assert mirror.paths() == ["/toydigits/train-images.gz", "/train-images.gz"]
    assert snapshot(cache) == {}


@pytest.mark.parametrize("status", [429, 503, 500])
def test_busy_server_is_asked_again_a_few_times(mirror, cache, snapshot, status):
    mirror.usual = {"status": status}
    fails(DownloadError, "toydigits", mirror.url, f"HTTP {status}")
    assert mirror.paths() == ["/toydigits/train-images.gz"] * download.ATTEMPTS
    assert snapshot(cache) == {}


def test_busy_server_that_recovers(mirror):
    mirror.plans = [{"status": 503}, {"status": 429}]
    store.load("toydigits")
    assert len(mirror.requests) == 2 + 4


@pytest.fixture
def waits(monkeypatch):
    """What the download would have waited, in seconds, each time."""
    waits = []
    clock = SimpleNamespace(sleep=waits.append, time=time.time, monotonic=time.monotonic)
    monkeypatch.setattr(download, "time", clock)
    return waits


def test_waits_double(mirror, waits):
    mirror.usual = {"status": 503}
    fails(DownloadError, "toydigits")
    assert waits == [download.BACKOFF * factor for factor in (1, 2, 4)]


@pytest.mark.parametrize("form", ["seconds", "date"])
def test_retry_after_is_honoured(mirror, waits, form):
    asked = "7" if form == "seconds" else formatdate(time.time() + 7, usegmt=True)
    mirror.plans = [{"status": 429, "headers": {"Retry-After": asked}}]
    store.load("toydigits")
    assert len(waits) == 1 and 1 <= waits[0] <= 7


def test_long_retry_after_leads_to_the_next_mirror(mirror):
    mirror.usual = {"status": 429, "headers": {"Retry-After": "3600"}}
    fails(DownloadError, "toydigits", "HTTP 429", "it asks to wait 3600 s")
    assert len(mirror.requests) == 1


# ---------------------------------------------------------------- broken connections


@pytest.mark.parametrize("sent", [0, 1000])
def test_stalled_server(mirror, cache, sent):
    mirror.usual = {"cut": sent, "stall": True, "ranges": False}
    begun = time.monotonic()
    fails(DownloadError, "toydigits", mirror.url, "the server stalled", "0.3 s")
    assert time.monotonic() - begun < 5
    assert not list(cache.rglob("*.gz"))


def test_server_that_hangs_up_without_an_answer(toys, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        monkeypatch.setattr(download, "ATTEMPTS", 1)
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        monkeypatch.setenv("DATASETSLIB_MIRROR", url)
        listener.settimeout(5)

        def hang_up():
            listener.accept()[0].close()

        thread = threading.Thread(target=hang_up)
        thread.start()
        fails(DownloadError, "toydigits", url, "the connection was cut")
        thread.join()


@pytest.mark.parametrize("name", ["toydigits", "toypictures"])
def test_cut_connection_is_resumed(mirror, name):
    filename = IMAGES if name == "toydigits" else BINARY
    half = len(mirror.files[filename]) // 2
    mirror.plans = [{"cut": half}]
    store.load(name)
    (_, first), (_, second) = mirror.requests[:2]
    assert "Range" not in first
    assert second["Range"] == f"bytes={half}-" and second["If-Range"] == '"one"'


def test_many_cuts_are_survived_as_long_as_each_attempt_gets_further(mirror):
    mirror.plans = [{"cut": 30_000}] * 8
    store.load("toydigits")
    assert len(mirror.requests) == 8 + 4


def test_cut_half_way_is_resumed_by_the_next_run(mirror, cache, monkeypatch):
    monkeypatch.setattr(download, "ATTEMPTS", 1)
    mirror.plans = [{"cut": 10_000}]
    fails(DownloadError, "toypictures", "connection was cut; 10,000 bytes are kept")
    assert [path.name for path in cache.rglob("*.part")] == [f"{BINARY}.part"]
    store.load("toypictures")
    assert mirror.requests[-1][1]["Range"] == "bytes=10000-"
    assert not list(cache.rglob("*.part*"))


def test_another_mirror_of_the_same_bytes_goes_on(mirror, monkeypatch):
    monkeypatch.setattr(download, "ATTEMPTS", 1)
    monkeypatch.delenv("DATASETSLIB_MIRROR")
    toy = manifest.DATASETS["toypictures"]
    mirrors = ((f"{mirror.url}/one/", BINARY), (f"{mirror.url}/two/", BINARY))
    monkeypatch.setitem(manifest.DATASETS, "toypictures", replace(toy, mirrors=mirrors))
    mirror.plans = [{"cut": 10_000}, {"etag": "two"}]
    store.load("toypictures")
    path, headers = mirror.requests[-1]
    assert path == f"/two/{BINARY}" and headers["Range"] == "bytes=10000-"
    assert "If-Range" not in headers  # what the first mirror called it means nothing here


def test_server_that_cannot_resume_starts_again(mirror):
    mirror.plans = [{"cut": 10_000}, {"ranges": False}]
    store.load("toypictures")
    assert len(mirror.requests) == 2


def test_file_that_changed_between_two_halves_starts_again(mirror):
    mirror.plans = [{"cut": 10_000, "etag": "old"}]
    store.load("toypictures")
    assert mirror.requests[1][1]["If-Range"] == '"old"'
    assert len(mirror.requests) == 2


def test_two_halves_of_different_files_are_thrown_away(mirror):
    other = bytes(len(mirror.files[BINARY]))
    mirror.plans = [{"cut": 10_000, "body": other, "etag": None}, {"etag": None}]
    store.load("toypictures")
    assert [("Range" in headers) for _, headers in mirror.requests] == [False, True, False]


def test_weak_etag_joins_nothing(mirror):
    weak = {"headers": {"ETag": 'W/"one"'}}
    mirror.plans = [weak | {"cut": 10_000}]
    store.load("toypictures")
    assert "If-Range" not in mirror.requests[1][1]


@pytest.mark.parametrize("span", ["bytes 0-9/10", "nonsense", ""])
def test_wrong_range_in_the_answer(mirror, span):
    mirror.plans = [{"cut": 10_000}, {"status": 206, "headers": {"Content-Range": span}}]
    store.load("toypictures")
    assert "Range" not in mirror.requests[2][1]


def test_partial_file_longer_than_the_real_one(mirror, cache):
    part = cache / "toydigits" / "downloads" / f"{IMAGES}.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(bytes(len(mirror.files[IMAGES]) + 10))
    note = part.with_name(part.name + ".json")
    note.write_text(f'{{"url": "{mirror.url}/toydigits/{IMAGES}", "validator": ""}}')
    store.load("toydigits")
    assert len(mirror.requests) == 1 + 4


def test_partial_file_that_was_complete_needs_no_request(mirror, cache):
    part = cache / "toypictures" / "downloads" / f"{BINARY}.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(mirror.files[BINARY])
    part.with_name(part.name + ".json").write_text('{"url": "elsewhere", "validator": ""}')
    store.load("toypictures")
    assert mirror.requests == []


@pytest.mark.parametrize("note", ["", "[]", '{"url": 3}', "junk"])
def test_partial_file_of_unknown_origin_is_not_continued(mirror, cache, note):
    part = cache / "toypictures" / "downloads" / f"{BINARY}.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(b"who knows")
    part.with_name(part.name + ".json").write_text(note)
    store.load("toypictures")
    assert "Range" not in mirror.requests[0][1]


# ---------------------------------------------------------------- no network


def test_no_network_at_all(toys, cache, snapshot, monkeypatch):
    def nowhere(*_, **__):
        raise socket.gaierror(-3, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", nowhere)
    for dataset, real in (("toydigits", "mnist"), ("toypictures", "cifar10")):
        mirrors = manifest.DATASETS[real].mirrors
        mirrors = tuple((base, "*") for base, _ in mirrors)
        toy = replace(manifest.DATASETS[dataset], mirrors=mirrors)
        monkeypatch.setitem(manifest.DATASETS, dataset, toy)
        begun = time.monotonic()
        text = fails(DownloadError, dataset, "name resolution", "DATASETSLIB_SOURCE=synthetic")
        assert all(base in text for base, _ in mirrors)
        assert time.monotonic() - begun < 5
    assert snapshot(cache) == {}


def test_nobody_listens(toys, monkeypatch):
    monkeypatch.setenv("DATASETSLIB_MIRROR", "http://127.0.0.1:1/")
    fails(DownloadError, "toydigits", "http://127.0.0.1:1/toydigits/train-images.gz", "refused")


def test_proxy_is_honoured(mirror, monkeypatch):
    monkeypatch.setenv("DATASETSLIB_MIRROR", "http://mirror.invalid/sets")
    monkeypatch.setenv("http_proxy", mirror.url)
    store.load("toydigits")
    assert mirror.paths()[0] == f"http://mirror.invalid/sets/toydigits/{IMAGES}"


def test_certificate_is_always_checked(mirror, tmp_path, monkeypatch):
    if not shutil.which("openssl"):
        pytest.skip("openssl is needed to make a certificate")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1"]
        + ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"]
        + ["-keyout", str(key), "-out", str(certificate)],
        check=True,
        capture_output=True,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    mirror.server.socket = context.wrap_socket(mirror.server.socket, server_side=True)
    monkeypatch.setenv("DATASETSLIB_MIRROR", mirror.url.replace("http", "https"))
    fails(
        DownloadError,
        "toydigits",
        "https://127.0.0.1",
        "CERTIFICATE_VERIFY_FAILED",
        "REQUESTS_CA_BUNDLE",
    )
    assert mirror.requests == []
    # The remedy that the message of the transport gives does work.
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    assert store.load("toydigits")[1].origin == "127.0.0.1"


def test_password_of_a_mirror_is_not_shown(mirror, monkeypatch):
    mirror.usual = {"status": 404}
    monkeypatch.setenv("DATASETSLIB_MIRROR", mirror.url.replace("//", "//me:secret@"))
    assert "secret" not in fails(DownloadError, "toydigits", "127.0.0.1")


@pytest.mark.parametrize(
    ("kind", "address"),
    [
        (SourceError, "ftp://me:secret@mirror.invalid"),
        (SourceError, "me:secret@mirror.invalid"),
        (SourceError, "ftp://me:secret@[mirror.invalid"),
        (DownloadError, "http://me:secret@/"),
    ],
)
def test_password_of_a_misspelt_mirror_is_not_shown(toys, monkeypatch, kind, address):
    monkeypatch.setenv("DATASETSLIB_MIRROR", address)
    assert "secret" not in fails(kind, "toydigits")


def test_password_of_a_mirror_is_not_stored(mirror, cache, snapshot, monkeypatch):
    monkeypatch.setattr(download, "ATTEMPTS", 1)
    monkeypatch.setenv("DATASETSLIB_MIRROR", mirror.url.replace("//", "//me:secret@"))
    mirror.plans = [{"cut": 10_000}]
    fails(DownloadError, "toypictures", "10,000 bytes are kept")
    kept = snapshot(cache)
    assert len(kept) == 2 and not any(b"secret" in data for data in kept.values())
    store.load("toypictures")
    assert mirror.requests[-1][1]["If-Range"] == '"one"'  # the same mirror, known without it


@pytest.mark.parametrize("url", ["ftp://mirror.invalid/", "/a/folder", "gopher://x"])
def test_mirror_of_an_unknown_kind(toys, monkeypatch, url):
    monkeypatch.setenv("DATASETSLIB_MIRROR", url)
    fails(SourceError, "toydigits", "DATASETSLIB_MIRROR", url, "http, https, file")


def test_file_mirror_without_the_file(toys, tmp_path, monkeypatch):
    monkeypatch.setenv("DATASETSLIB_MIRROR", tmp_path.as_uri())
    fails(DownloadError, "toydigits", tmp_path.as_uri(), "No such file")


def test_file_mirror_with_a_file_of_the_wrong_size(toys, cache, snapshot, tmp_path, monkeypatch):
    (tmp_path / BINARY).write_bytes(b"<html>gone</html>")
    monkeypatch.setenv("DATASETSLIB_MIRROR", tmp_path.as_uri())
    fails(DownloadError, "toypictures", "a web page of 17 bytes")
    assert snapshot(cache) == {}


# ---------------------------------------------------------------- the machine


def test_kill_9_half_way_then_a_clean_second_run(mirror, cache, child):
    mirror.usual = {"step": 8192, "pause": 0.05}
    process = child("toydigits")
    part = cache / "toydigits" / "downloads" / f"{IMAGES}.part"
    deadline = time.monotonic() + 20
    while not (part.exists() and part.stat().st_size > 8192) and time.monotonic() < deadline:
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert part.stat().st_size > 8192
    assert not part.with_name(IMAGES).exists()
    mirror.usual = {}
    mirror.requests.clear()
    second = child("toydigits")
    output, errors = second.communicate(timeout=30)
    assert second.returncode == 0, errors
    assert output.startswith("toydigits: official bytes, from 127.0.0.1")
    assert mirror.requests[0][1]["Range"].startswith("bytes=")
    assert not list(cache.rglob("*.part*"))


def test_four_processes_at_once_make_one_download(mirror, child):
    mirror.usual = {"step": 65536, "pause": 0.1}
    processes = [child("toydigits") for _ in range(4)]
    outputs = [process.communicate(timeout=60) for process in processes]
    assert [process.returncode for process in processes] == [0] * 4, outputs
    assert sorted(mirror.paths()) == sorted(f"/toydigits/{name}.gz" for name in toysets.digits())
    editions = [output.splitlines()[-1] for output, _ in outputs]
    assert sum("from 127.0.0.1" in line for line in editions) == 1
    assert sum("from the cache" in line for line in editions) == 3
    assert len({line.rpartition(" ")[2] for line in editions}) == 1


def test_disk_full_while_downloading(mirror, cache, snapshot, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(download.os, "fsync", full)
    text = fails(CacheError, "toydigits", IMAGES, "disk full", "DATASETSLIB_CACHE")
    assert str(cache) in text
    assert snapshot(cache) == {}


@pytest.mark.skipif(sys.platform == "win32", reason="needs a limit on file sizes")
def test_disk_that_refuses_more_bytes(mirror, cache, child, monkeypatch):
    # The system itself refuses: no file of this process may grow past 64 kB.
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    previous = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, hard))
    try:
        fails(CacheError, "toydigits", f"{IMAGES}.part", "File too large")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, previous)


def test_cache_folder_that_cannot_be_made(mirror, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("DATASETSLIB_CACHE", str(tmp_path / "file" / "cache"))
    fails(CacheError, "toydigits", str(tmp_path / "file"), "DATASETSLIB_CACHE", "no way to write")
    assert mirror.requests == []


# ---------------------------------------------------------------- the progress bar


def test_progress_is_silent_when_nobody_watches(mirror, capsys):
    store.load("toydigits")
    assert capsys.readouterr() == ("", "")


def test_progress_on_a_terminal_leaves_nothing_behind(mirror, capsys, monkeypatch):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    store.load("toypictures")
    shown = capsys.readouterr().err
    assert f"{BINARY}  [####" in shown and "100%" in shown
    assert "\n" not in shown
    last = shown.rstrip("\r").rpartition("\r")[2]
    assert last.strip() == "" and len(last) >= len(f"{BINARY}  [")
