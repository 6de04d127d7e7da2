"""Every service of docker-compose.yml, started as the file says, until a person gets an answer."""

from __future__ import annotations

import json
import os
import re
import shutil
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from prometheus_client.parser import text_string_to_metric_families

from bot import services
from bot.settings import ROOT
from bot.stack import RASA_PYTHON
from tests.drills.processes import server_of_redis
from tests.operations.composed import SERVICES, Composed
from tests.support.databases import PostgresTemplates, missing
from tests.support.ports import free_port

pytestmark = pytest.mark.e2e

REPLY_SECONDS = 60.0


@pytest.fixture(scope="module")
def composed(
    postgres_templates: PostgresTemplates, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Composed]:
    """The whole of it, but for the doors: started in the file's own order."""
    if not RASA_PYTHON.exists():
        missing("the assistant's environment (.venv-assistant) is missing: run `make setup`")
    url = postgres_templates.fresh(empty=True)
    found = Composed(tmp_path_factory.mktemp("composed"))
    (found.folder / "secrets" / "frontcounter_database_url").write_text(url + "\n")
    subprocess.run(
        [sys.executable, str(ROOT / "deploy" / "make_secrets.py"), str(found.folder / "secrets")],
        check=True, capture_output=True,
    )  # fmt: skip
    beside = Path(server_of_redis()).parent
    client = "valkey-cli" if (beside / "valkey-cli").exists() else "redis-cli"
    found.program("valkey-cli", str(beside / client))
    try:
        for name in _in_order(("valkey", "trainer", "migrate", "actions", "assistant-1", "assistant-2",
                               "gateway-1", "gateway-2")):  # fmt: skip
            if SERVICES[name]["restart"] == "no":
                found.once(name)
            else:
                found.start(name)
        yield found
    finally:
        found.stop_all()
        postgres_templates.drop(url)


def _in_order(names: tuple[str, ...]) -> list[str]:
    """The services, each after those that the file says it depends on."""
    done: list[str] = []
    while len(done) < len(names):
        for name in names:
            wanted = set(SERVICES[name].get("depends_on") or {}) & set(names)
            if name not in done and wanted <= set(done):
                done.append(name)
    return done


def _ask(base: str, streams: str, text: str, identity: str, verify: ssl.SSLContext | bool = True) -> str:
    """Write as a new person, and read the first answer from another gateway's stream."""
    with httpx.Client(trust_env=False, timeout=REPLY_SECONDS, verify=verify) as http:
        answer = http.post(f"{base}/chat/messages", json={"id": identity, "text": text})
        assert answer.status_code == 200, answer.text
        cookie = answer.headers["set-cookie"]
        assert "Secure" in cookie
        assert "HttpOnly" in cookie
        headers = {"Cookie": cookie.partition(";")[0]}
        event, said = "", ""
        until = time.monotonic() + REPLY_SECONDS
        with http.stream("GET", f"{streams}/chat/stream?after=0.0", headers=headers) as lines:
            for line in lines.iter_lines():
                assert time.monotonic() < until, "no answer came"
                if line.startswith("event: "):
                    event = line.removeprefix("event: ")
                elif line.startswith("data: ") and event == "message":
                    row = json.loads(line.removeprefix("data: "))
                    said += row["text"] + "\n"
                    if row["side"] == "assistant" and "bike" in said.casefold():
                        break
    return said


def test_a_person_gets_an_answer_through_services_that_were_started_as_the_file_says(
    composed: Composed,
) -> None:
    for number in (1, 2):
        said = _ask(
            composed.url(f"gateway-{number}", 8080), composed.url(f"gateway-{3 - number}", 8080),
            "how do i report a stolen bike", f"composed-message-{number}",
        )  # fmt: skip
        assert "bike" in said.casefold()
    for name in ("assistant-1", "assistant-2", "actions", "gateway-1", "gateway-2"):
        log = composed.log(name)
        assert "stolen bike" not in log
        assert [line for line in log.splitlines() if not line.startswith('{"')] == [], name


def test_each_gateway_tells_prometheus_inside_and_nobody_outside(composed: Composed) -> None:
    for name in ("gateway-1", "gateway-2"):
        with httpx.Client(trust_env=False, timeout=REPLY_SECONDS) as http:
            assert http.get(f"{composed.url(name, 8080)}/metrics").status_code == 404
            answer = http.get(f"{composed.url(name, 8081)}/metrics")
        assert answer.status_code == 200
        found = {
            (sample.name, *sorted(sample.labels.values())): sample.value
            for family in text_string_to_metric_families(answer.text)
            for sample in family.samples
        }
        assert found[("frontcounter_ready",)] == 1
        assert found[("frontcounter_up", "store")] == 1
        assert found[("frontcounter_up", "assistant")] == 1
        assert found[("frontcounter_up", "redis")] == 1
        assert {key[1] for key in found if key[0] == "frontcounter_assistant_resting"} == {
            f"127.0.0.1:{composed.ports[(f'assistant-{n}', 5005)]}" for n in (1, 2)
        }


def test_an_assistant_takes_no_model_that_the_training_did_not_write(
    composed: Composed, tmp_path: Path
) -> None:
    model = services.model_path(ROOT / "models")
    assert services.is_ours(model)
    for file in (model, services.checksum_path(model)):
        shutil.copy(file, tmp_path / file.name)
    with (tmp_path / model.name).open("r+b") as changed:
        changed.seek(100)
        changed.write(b"?")
    environment = {**composed.environment("assistant-1"), "FRONTCOUNTER_MODELS": str(tmp_path)}
    words = composed.command("assistant-1", SERVICES["assistant-1"]["command"])
    done = subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "is not what the training wrote" in done.stderr


@pytest.fixture
def certificate(composed: Composed) -> Path:
    """A certificate of our own for 127.0.0.1, where the proxy expects the force's."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    folder = composed.folder / "secrets"
    (folder / "tls_certificate").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / "tls_key").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return folder / "tls_certificate"


def trusting(certificate: Path) -> ssl.SSLContext:
    """A client that takes this certificate."""
    return ssl.create_default_context(cafile=str(certificate))


def _proxy_files(composed: Composed, name: str, targets: dict[str, str]) -> Path:
    """deploy/proxy as the container sees it, with this machine's places."""
    folder = composed.folder / f"{name}-files"
    folder.mkdir(exist_ok=True)
    for file in (ROOT / "deploy" / "proxy").iterdir():
        text = re.sub(r"(?<![\w/.])/tmp/", f"{folder}/", file.read_text("utf-8"))
        text = text.replace("/etc/frontcounter", str(folder))
        text = text.replace("/run/secrets", str(composed.secrets(name)))
        for word, here in targets.items():
            text = text.replace(word, here)
        (folder / file.name).write_text(text, "utf-8")
    return folder


def test_the_proxy_shows_the_public_page_over_tls_and_nothing_else(
    composed: Composed, certificate: Path
) -> None:
    nginx = shutil.which("nginx") or "/usr/sbin/nginx"
    if not Path(nginx).exists():
        pytest.skip("nginx is not installed (Debian: nginx-light)")
    ports = {port: composed.ports[("proxy", port)] for port in (8080, 8443, 8090)}
    targets = {
        "gateways:8080": f"127.0.0.1:{composed.ports[('gateway-1', 8080)]}",
        "listen 8080": f"listen 127.0.0.1:{ports[8080]}",
        "listen 127.0.0.1:8090": f"listen 127.0.0.1:{ports[8090]}",
        "listen 8443": f"listen 127.0.0.1:{ports[8443]}",
    }
    files = _proxy_files(composed, "proxy", targets)
    words = [word.replace("/etc/frontcounter", str(files)) for word in SERVICES["proxy"]["command"]]
    words[0] = nginx
    if os.getuid() == 0:
        words[-1] += " user root;"  # or its workers could not read a test's folder
    subprocess.run([*words[:3], "-t"], check=True, capture_output=True)
    with (composed.folder / "proxy.log").open("wb") as output:
        composed.running["proxy"] = subprocess.Popen(words, stdout=output, stderr=output)
    try:
        until = time.monotonic() + REPLY_SECONDS
        while not composed.is_healthy("proxy"):
            assert time.monotonic() < until, composed.log("proxy")
            time.sleep(0.1)
        base = f"https://localhost:{ports[8443]}"
        with httpx.Client(trust_env=False, verify=trusting(certificate), timeout=REPLY_SECONDS) as http:
            assert http.get(f"{base}/chat").status_code == 200
            assert "strict-transport-security" in http.get(f"{base}/chat").headers
            for path in (
                "/desk",
                "/desk/sign-in",
                "/metrics",
                "/readyz",
                "/healthz",
                "/desk/static/build/desk.css",
            ):
                assert http.get(base + path).status_code == 404, path
            plain = http.get(f"http://127.0.0.1:{ports[8080]}/chat", headers={"Host": "chat.force.example"})
            assert plain.status_code == 301
            assert plain.headers["location"] == "https://chat.force.example/chat"
        said = _ask(base, base, "how do i report a stolen bike", "through-the-proxy", trusting(certificate))
        assert "bike" in said.casefold()
        # No gateway at all: the page still says whom to call.
        composed.stop("gateway-1")
        try:
            assert not composed.is_healthy("gateway-1")
            with httpx.Client(trust_env=False, verify=trusting(certificate), timeout=REPLY_SECONDS) as http:
                for answer in (http.get(f"{base}/chat"), http.post(f"{base}/chat/messages", json={})):
                    assert answer.status_code == 503
                    assert "Call 999" in answer.text
        finally:
            composed.start("gateway-1")
    finally:
        composed.stop("proxy")


def test_the_desk_has_a_door_of_its_own_for_the_inside(composed: Composed, certificate: Path) -> None:
    nginx = shutil.which("nginx") or "/usr/sbin/nginx"
    if not Path(nginx).exists():
        pytest.skip("nginx is not installed (Debian: nginx-light)")
    port, up = free_port(), free_port()
    targets = {
        "desks:8081": f"127.0.0.1:{composed.ports[('gateway-2', 8081)]}",
        "listen 127.0.0.1:8091": f"listen 127.0.0.1:{up}",
        "listen 8444": f"listen 127.0.0.1:{port}",
    }
    files = _proxy_files(composed, "desk-proxy", targets)
    words = [word.replace("/etc/frontcounter", str(files)) for word in SERVICES["desk-proxy"]["command"]]
    words[0] = nginx
    subprocess.run([*words[:3], "-t"], check=True, capture_output=True)
    with (composed.folder / "desk-proxy.log").open("wb") as output:
        composed.running["desk-proxy"] = subprocess.Popen(words, stdout=output, stderr=output)
    try:
        base = f"https://localhost:{port}"
        transport = httpx.HTTPTransport(retries=8, verify=trusting(certificate))
        with httpx.Client(trust_env=False, transport=transport, timeout=REPLY_SECONDS) as http:
            assert http.get(f"http://127.0.0.1:{up}/up").text == "up\n"
            page = http.get(f"{base}/desk", follow_redirects=True)
            assert page.status_code == 200
            assert "password" in page.text.casefold()
            for path in ("/metrics", "/readyz", "/chat"):
                assert http.get(base + path).status_code == 404, path
    finally:
        composed.stop("desk-proxy")
