"""Nobody gets in without key or token, and nothing malformed does harm: against a real node, over bare sockets."""

from __future__ import annotations

import asyncio
import json
import ssl
from urllib.parse import urlsplit

import pytest

from dmoa_calibration.testbed.asking import INFER_PATH
from dmoa_calibration.testbed.client import NodeClient, RefusedQuery
from dmoa_calibration.testbed.process import run_node
from dmoa_calibration.testbed.protocol.authentication import Signer
from dmoa_calibration.testbed.protocol.messages import InferenceRequest
from dmoa_calibration.testbed.protocol.peers import Peers
from dmoa_calibration.testbed.protocol.secret_values import Secret
from dmoa_calibration.testbed.scenario_nodes import free_ports
from tests.testbed.fuzz import Fuzzer, fuzz, request, send
from tests.testbed.network_of_nodes import KEY, TOKEN, config, network, run, until


@pytest.fixture(scope="module")
def live(tmp_path_factory):
    with network(
        tmp_path_factory.mktemp("gate"), 1, moa={"M": 0, "k": 0}, limits={"read_seconds": 0.5, "idle_seconds": 1.0}
    ) as nodes:
        yield nodes


def port_of(live) -> int:
    return urlsplit(live["a"].url).port


def test_malformed_and_unauthenticated_requests_are_all_refused_and_nothing_is_executed(live):
    async def attack() -> None:
        async with live.client("a") as client:
            before = await client.status()
            found = await fuzz(Fuzzer(1, "a", live.key, live.token), port_of(live), 200, patience=2.0)
            let_in = {key: count for key, count in found.items() if key[1] is not None and not 400 <= key[1] < 500}
            assert not let_in
            after = await client.status()
            assert after["queries"]["accepted"] == before["queries"]["accepted"]
            assert after["jobs"]["served"] == before["jobs"]["served"]
            assert after["members"] == []
            assert after["queue"]["held_bytes"] == 0
            await client.submit("p", "still-well")
            assert (await client.answer("still-well", wait=30))["state"] == "done"

    run(attack)


def test_a_message_is_accepted_once_and_its_replay_refused(live):
    job = {"v": 1, "job": "z:r:0:a", "query": "r", "stage": 0, "kind": "first", "origin": "z"}
    body = json.dumps(job | {"reply_to": "http://127.0.0.1:9", "k": 1, "prompt": "why?"}).encode()
    message = request("POST", INFER_PATH, body, Signer(Secret(live.key.encode()), "z").sign("POST", INFER_PATH, body, "a"))

    async def replay() -> list[int | None]:
        return [await send(port_of(live), message) for _ in range(3)]

    assert run(replay) == [202, 401, 401]


def test_jobs_delivered_twice_are_served_once(live):
    """The same request of the same origin, three times in messages of their own, is one inference."""
    job = InferenceRequest(
        job="z:q:0:a", query="q", stage=0, kind="first", origin="z", reply_to="http://127.0.0.1:9", k=0, prompt="why?"
    )

    def inferences() -> int:
        """Counted by job, for a job of the test before may still be in service."""
        return sum(event["job"] == job.job for event in live["a"].events("job_ended"))

    async def three_times() -> None:
        peers = Peers(Signer(Secret(live.key.encode()), "z"), delay={}, timeout=5.0, most_bytes=10_000, tls=None)
        try:
            async with live.client("a") as client:
                before = (await client.status())["jobs"]["duplicates"]
                sent = [await peers.post(live["a"].url, INFER_PATH, job, "a") for _ in range(3)]
                after = (await client.status())["jobs"]["duplicates"]
        finally:
            await peers.close()
        assert [answer.status for answer in sent] == [202] * 3
        assert [b'"new": true' in answer.body for answer in sent] == [True, False, False]
        assert after - before == 2

        async def served() -> bool:
            return inferences() > 0

        await until(served)
        await asyncio.sleep(0.1)
        assert inferences() == 1

    run(three_times)


def test_a_body_that_never_ends_is_given_up(live):
    message = request(
        "POST",
        "/v1/submit",
        b'{"pro',
        {"Content-Length": "50", "Content-Type": "application/json", "Authorization": f"Bearer {live.token}"},
    )
    assert run(lambda: send(port_of(live), message, 20.0)) == 408


def test_a_connection_on_which_no_request_ever_comes_is_closed(live):
    async def idle() -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", port_of(live))
        writer.write(b"POST /v1/submit HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Never: end")
        try:
            return await asyncio.wait_for(reader.read(), 20.0)
        finally:
            writer.transport.abort()

    assert run(idle) == b""


def test_health_needs_no_token_and_says_nothing_else(live):
    async def ask() -> None:
        async with NodeClient(live["a"].url) as stranger:
            assert await stranger.health()
            with pytest.raises(RefusedQuery) as refused:
                await stranger.status()
            assert refused.value.status == 401

    run(ask)


def test_secrets_and_prompts_are_in_no_log_and_no_event(live):
    async def ask() -> None:
        async with live.client("a") as client:
            await client.submit("the-prompt-itself", "private")
            await client.answer("private", wait=30)
        await asyncio.sleep(0.5)

    run(ask)
    folder = live["a"].config.data_dir
    written = live["a"].log.read_text() + (folder / "events.jsonl").read_text() + (folder / "ready.json").read_text()
    assert '"private"' in written
    for secret in (live.key, live.token, "the-prompt-itself"):
        assert secret not in written
    assert (folder / "journal.sqlite3").stat().st_mode & 0o077 == 0


def test_without_a_token_only_this_machines_own_programs_are_served(tmp_path):
    """A page that a browser was lured to names another host, or cannot send JSON without being asked first."""
    with network(tmp_path, 1, moa={"M": 0, "k": 0}, client_token=None, peer_key=None) as nodes:

        async def ask() -> None:
            port, body = port_of(nodes), b'{"prompt": "p"}'
            kind = {"Content-Type": "application/json"}
            assert await send(port, request("POST", "/v1/submit", body, kind)) == 202
            assert await send(port, request("POST", "/v1/submit", body, kind | {"Host": "evil.example"})) == 403
            assert await send(port, request("POST", "/v1/submit", body, {"Content-Type": "text/plain"})) == 415
            assert await send(port, request("POST", INFER_PATH, b"{}", kind)) == 403

        run(ask)
        process = nodes["a"].process
        process.stdin.close()  # as happens when whoever started the node ends, however it ends
        assert process.wait(30) == 0


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"host": "0.0.0.0", "peer_key": None}, "peer_key is needed where others can reach the node"),
        ({"host": "0.0.0.0", "client_token": None}, "client_token is needed where others can reach the node"),
        ({"host": "0.0.0.0"}, "advertise is needed with a host that stands for all addresses"),
        ({"peer_key": {"env": "DMOA_NO_SUCH_KEY"}}, "peer_key.env = DMOA_NO_SUCH_KEY: an environment variable that is set"),
        ({"peer_key": {"file": "key"}}, "a file that not everybody can read: chmod 600"),
        ({"service": None}, "service is needed in mode paced"),
        ({"colour": "red"}, "colour"),
        ({"tls": {"certificate": "none", "key": "none", "authority": "none"}}, "tls.certificate = none: PEM files"),
    ],
)
def test_a_configuration_that_is_unsafe_or_wrong_is_refused_in_one_line(tmp_path, monkeypatch, capsys, changes, complaint):
    monkeypatch.setenv(KEY, "0123456789abcdef")
    monkeypatch.setenv(TOKEN, "0123456789abcdef")
    monkeypatch.chdir(tmp_path)
    key = tmp_path / "key"
    key.write_text("0123456789abcdef")
    key.chmod(0o644)
    content = json.loads(config("a", tmp_path).model_dump_json()) | changes
    file = tmp_path / "node.json"
    file.write_text(json.dumps(content))
    assert run_node(file) == 2
    said = capsys.readouterr().err
    assert complaint in said
    assert said.count("\n") == 1


def test_nodes_with_certificates_speak_tls_and_believe_no_others(tmp_path):
    trustme = pytest.importorskip("trustme")
    authority, other = trustme.CA(), trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    for name, blob in (
        ("certificate", issued.cert_chain_pems[0]),
        ("key", issued.private_key_pem),
        ("authority", authority.cert_pem),
    ):
        blob.write_to_path(str(tmp_path / f"{name}.pem"))
    tls = {name: tmp_path / f"{name}.pem" for name in ("certificate", "key", "authority")}
    ports = free_ports(2)
    seeds = [f"https://127.0.0.1:{port}" for port in ports]
    settings = [{"port": port, "seeds": seeds, "tls": tls} for port in ports]
    nodes = network(tmp_path, settings, moa={"M": 1, "k": 1})
    believed, disbelieved = ssl.create_default_context(), ssl.create_default_context()
    authority.configure_trust(believed)
    other.configure_trust(disbelieved)

    async def ask() -> None:
        import aiohttp

        async with NodeClient(nodes["a"].url, nodes.token, believed) as client:

            async def joined() -> bool:
                return [member["state"] for member in (await client.status())["members"]] == ["alive"]

            await until(joined)
            await client.submit("p", "secure")
            answer = await client.answer("secure", wait=30)
            assert set(answer["layers"][0]["asked"]) == {"a", "b"}
            assert not answer["degraded"]
        async with NodeClient(nodes["a"].url, nodes.token, disbelieved) as client:
            with pytest.raises(aiohttp.ClientConnectorCertificateError):
                await client.status()

    nodes.until_all_know_each_other = lambda: asyncio.sleep(0)  # their clients need the authority, as below
    with nodes:
        run(ask)
