"""Nobody gets in without key or token, and nothing malformed does harm: against a real node, over bare sockets."""

from __future__ import annotations

import asyncio
import gc
import json
import socket
import ssl
import sys
from contextlib import suppress
from urllib.parse import urlsplit

import aiohttp
import pytest

from dmoa_calibration.testbed import process
from dmoa_calibration.testbed.asking import INFER_PATH
from dmoa_calibration.testbed.client import NodeClient, RefusedQuery
from dmoa_calibration.testbed.process import run_node
from dmoa_calibration.testbed.protocol.authentication import Signer
from dmoa_calibration.testbed.protocol.gossip import GOSSIP_PATH
from dmoa_calibration.testbed.protocol.messages import GossipMessage, InferenceRequest
from dmoa_calibration.testbed.protocol.peers import PeerError, Peers
from dmoa_calibration.testbed.protocol.secret_values import Secret
from tests.testbed.fuzz import Fuzzer, fuzz, request, send
from tests.testbed.network_of_nodes import (
    KEY,
    PATIENCE,
    TOKEN,
    Network,
    answered,
    config,
    eventually,
    network,
    reserved_ports,
    run,
    until,
)


@pytest.fixture(scope="module")
def live(tmp_path_factory):
    with network(tmp_path_factory.mktemp("gate"), 1, moa={"M": 0, "k": 0}) as nodes:
        yield nodes


@pytest.fixture(scope="module")
def impatient(tmp_path_factory):
    """A node that waits for nobody; for bare sockets, whose requests come in one piece or not at all."""
    limits = {"read_seconds": 0.5, "idle_seconds": 1.0}
    with network(tmp_path_factory.mktemp("impatient"), 1, moa={"M": 0, "k": 0}, limits=limits) as nodes:
        yield nodes


def port_of(live) -> int:
    return urlsplit(live["a"].url).port


def test_malformed_and_unauthenticated_requests_are_all_refused_and_nothing_is_executed(tmp_path):
    """At a node of its own, which nobody else has given anything to do."""
    with network(tmp_path, 1, moa={"M": 0, "k": 0}, limits={"read_seconds": 0.5}) as nodes:
        run(lambda: _attacked(nodes))


async def _attacked(nodes: Network) -> None:
    async with nodes.client("a") as client:
        before = await client.status()
        found = await fuzz(Fuzzer(1, "a", nodes.key, nodes.token), port_of(nodes), 200, patience=2.0)
        let_in = {key: count for key, count in found.items() if key[1] is not None and not 400 <= key[1] < 500}
        assert not let_in
        after = await client.status()
    assert after["queries"]["accepted"] == before["queries"]["accepted"] == 0
    assert after["jobs"]["served"] == before["jobs"]["served"] == 0
    assert after["members"] == []
    assert after["queue"]["held_bytes"] == 0
    async with nodes.client("a") as client:
        await client.submit("p", "still-well")
        assert (await answered(client, "still-well"))["state"] == "done"


def test_a_message_is_accepted_once_and_its_replay_refused(live):
    job = {"v": 1, "job": "z:r:0:a", "query": "r", "stage": 0, "kind": "first", "origin": "z"}
    body = json.dumps(job | {"k": 1, "prompt": "why?"}).encode()
    message = request("POST", INFER_PATH, body, Signer(Secret(live.key.encode()), "z").sign("POST", INFER_PATH, body, "a"))

    async def replay() -> list[int | None]:
        return [await send(port_of(live), message) for _ in range(3)]

    assert run(replay) == [202, 401, 401]


def test_jobs_delivered_twice_are_served_once(live):
    """The same request of the same origin, three times in messages of their own, is one inference."""
    job = InferenceRequest(job="z:q:0:a", query="q", stage=0, kind="first", origin="z", k=0, prompt="why?")

    def inferences() -> int:
        """Counted by job, for a job of the test before may still be in service."""
        return sum(event["job"] == job.job for event in live["a"].events("job_ended"))

    async def three_times() -> None:
        peers = Peers(Signer(Secret(live.key.encode()), "z"), delay={}, timeout=PATIENCE, most_bytes=10_000, tls=None)
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
        async with live.client("a") as client:  # what came after them in the queue is served after them
            await client.submit("p", "after-the-duplicates")
            await answered(client, "after-the-duplicates")

            async def told_of() -> bool:
                return any(event["query"] == "after-the-duplicates" for event in live["a"].events("query_ended"))

            await until(told_of)
        assert inferences() == 1

    run(three_times)


def test_a_body_that_never_ends_is_given_up(impatient):
    message = request(
        "POST",
        "/v1/submit",
        b'{"pro',
        {"Content-Length": "50", "Content-Type": "application/json", "Authorization": f"Bearer {impatient.token}"},
    )

    async def give_up(_: int) -> int | None:
        """None where the connection was closed before anything was sent: a busy machine lets the sender wait too."""
        return await send(port_of(impatient), message, PATIENCE)

    assert run(lambda: eventually(give_up, lambda status: status is not None)) == 408


def test_a_connection_on_which_no_request_ever_comes_is_closed(impatient):
    async def idle() -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", port_of(impatient))
        writer.write(b"POST /v1/submit HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Never: end")
        try:
            return await asyncio.wait_for(reader.read(), PATIENCE)
        finally:
            writer.transport.abort()

    assert run(idle) == b""


def test_nothing_is_read_from_whoever_has_no_token(live):
    """A thousand strangers with two megabytes each are two gigabytes: they are told no before they have sent any."""

    async def knock(what: bytes) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", port_of(live))
        try:
            writer.write(what + b" HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 2000000\r\n\r\n")
            return await asyncio.wait_for(reader.readline(), PATIENCE)
        finally:
            writer.transport.abort()

    assert b" 401 " in run(lambda: knock(b"POST /v1/submit"))
    for everybodys in (b"GET /", b"GET /healthz"):
        assert b" 200 " in run(lambda what=everybodys: knock(what))


def test_no_more_is_read_for_strangers_who_claim_a_key_than_the_node_holds(tmp_path):
    limits = {"held_bytes": 2**21, "read_seconds": PATIENCE}
    with network(tmp_path, 1, moa={"M": 0, "k": 0}, limits=limits) as nodes:

        async def knock() -> None:
            claimed = f"POST {INFER_PATH} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 2000000\r\n\r\n".encode()
            _, writer = await asyncio.open_connection("127.0.0.1", port_of(nodes))
            writer.write(claimed + b"x")

            async def full() -> bool:
                return await send(port_of(nodes), claimed, 1.0) == 429

            await until(full)
            writer.transport.abort()
            job = InferenceRequest(job="z:q:0:a", query="q", stage=0, kind="first", origin="z", k=0, prompt="why?")
            body = job.model_dump_json().encode()

            async def has_room() -> bool:
                headers = Signer(Secret(nodes.key.encode()), "z").sign("POST", INFER_PATH, body, "a")
                return await send(port_of(nodes), request("POST", INFER_PATH, body, headers)) == 202

            await until(has_room)

        run(knock)


def test_who_only_holds_connections_open_keeps_nobody_out(tmp_path):
    with network(tmp_path, 1, moa={"M": 0, "k": 0}, limits={"connections": 8, "idle_seconds": 600.0}) as nodes:

        async def crowd() -> None:
            held = []
            for _ in range(50):
                with suppress(OSError):
                    held.append(await asyncio.open_connection("127.0.0.1", port_of(nodes)))
            async with nodes.client("a") as client:

                async def let_in() -> bool:
                    try:
                        return (await client.submit("p", "despite-the-crowd"))["id"] == "despite-the-crowd"
                    except (RefusedQuery, aiohttp.ClientError):
                        return False

                await until(let_in)
                assert (await answered(client, "despite-the-crowd"))["state"] == "done"

            async def only_eight_stay() -> bool:
                for reader, _ in held:
                    with suppress(TimeoutError, OSError):
                        await asyncio.wait_for(reader.read(100), 0.001)
                return sum(not reader.at_eof() and reader.exception() is None for reader, _ in held) <= 8

            await until(only_eight_stay)
            for _, writer in held:
                writer.transport.abort()

        run(crowd)


def test_connections_that_break_off_fill_no_log(live):
    async def break_off() -> None:
        head = f"POST /v1/submit HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {live.token}\r\nContent-Length: 99\r\n"
        async with live.client("a") as client:
            before = (await client.status())["requests_refused"]
            for _ in range(10):
                _, writer = await asyncio.open_connection("127.0.0.1", port_of(live))
                writer.write(head.encode() + b"Content-Type: application/json\r\n\r\n{")
                await writer.drain()
                await client.health()
                writer.transport.abort()

            async def noticed() -> bool:
                return (await client.status())["requests_refused"] >= before + 10

            await until(noticed)

    said = live["a"].log.read_text()
    run(break_off)
    assert live["a"].log.read_text() == said


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
            await answered(client, "private")

        async def told_of() -> bool:
            return any(event.get("query") == "private" for event in live["a"].events("query_ended"))

        await until(told_of)

    run(ask)
    folder = live["a"].config.data_dir
    written = live["a"].log.read_text() + (folder / "events.jsonl").read_text() + (folder / "ready.json").read_text()
    assert '"private"' in written
    for secret in (live.key, live.token, "the-prompt-itself"):
        assert secret not in written
    for name in (".", "journal.sqlite3", "journal.sqlite3-wal", "events.jsonl"):
        assert (folder / name).stat().st_mode & 0o077 == 0, name


def test_without_a_token_only_this_machines_own_programs_are_served(tmp_path):
    """A page that a browser was lured to names another host, or cannot send JSON without being asked first."""
    with network(tmp_path, 1, moa={"M": 0, "k": 0}, client_token=None, peer_key=None, seeds=[]) as nodes:

        async def ask() -> None:
            port, body = port_of(nodes), b'{"prompt": "p"}'
            kind = {"Content-Type": "application/json"}
            assert await send(port, request("POST", "/v1/submit", body, kind)) == 202
            for host in ("evil.example", "127.0.0.1.evil.example", "localhost@evil.example", "[::1", "", "a b", "127.1"):
                assert await send(port, request("POST", "/v1/submit", body, kind | {"Host": host})) == 403, host
            assert await send(port, b"GET /v1/status HTTP/1.0\r\n\r\n") == 403
            for header in ("Origin", "Access-Control-Request-Method"):
                asked = request("OPTIONS", "/v1/submit", b"", {header: "http://evil.example"})
                assert await send(port, asked) == 405
            assert await send(port, request("POST", "/v1/submit", body, {"Content-Type": "text/plain"})) == 415
            assert await send(port, request("POST", INFER_PATH, b"{}", kind)) == 403

        run(ask)
        process = nodes["a"].process
        process.stdin.close()  # as happens when whoever started the node ends, however it ends
        assert process.wait(PATIENCE) == 0


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"seeds": ["http://127.0.0.1:8400"], "peer_key": None}, "peer_key is needed with seeds"),
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


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere one cannot take what another has")
def test_an_address_that_somebody_else_listens_on_first_is_refused_in_one_line(tmp_path, monkeypatch, capsys):
    """Of two who have taken it, as nodes may, only one can listen."""
    monkeypatch.setenv(KEY, "0123456789abcdef")
    monkeypatch.setenv(TOKEN, "0123456789abcdef")
    take, rivals = process._listen, []

    def taken_by_two(settings):
        taken, rival = take(settings), socket.socket()
        rival.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        rival.bind(taken.getsockname())
        rival.listen()
        rivals.append(rival)
        return taken

    monkeypatch.setattr(process, "_listen", taken_by_two)
    file = tmp_path / "node.json"
    file.write_text(config("a", tmp_path).model_dump_json())
    try:
        assert run_node(file) == 2
    finally:
        for rival in rivals:
            rival.close()
    gc.collect()  # what it left open is told of here, and not in whichever test comes to it later
    assert capsys.readouterr().err == "host and port = 127.0.0.1:0: a free address (Address already in use)\n"


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
    ports = reserved_ports(2)
    seeds = [f"https://127.0.0.1:{port}" for port in ports]
    settings = [{"port": port, "seeds": seeds, "tls": tls} for port in ports]
    nodes = network(tmp_path, settings, moa={"M": 1, "k": 1})
    believed, disbelieved = ssl.create_default_context(), ssl.create_default_context()
    authority.configure_trust(believed)
    other.configure_trust(disbelieved)

    async def ask() -> None:
        async with NodeClient(nodes["a"].url, nodes.token, believed) as client:

            async def joined() -> bool:
                return [member["state"] for member in (await client.status())["members"]] == ["alive"]

            await until(joined)
            await client.submit("p", "secure")
            answer = await answered(client, "secure")
            assert set(answer["layers"][0]["asked"]) == {"a", "b"}
            assert not answer["degraded"]
        async with NodeClient(nodes["a"].url, nodes.token, disbelieved) as client:
            with pytest.raises(aiohttp.ClientConnectorCertificateError):
                await client.status()
        as_another = nodes["a"].url.replace("127.0.0.1", "localhost")  # which is not in the certificate
        async with NodeClient(as_another, nodes.token, believed) as client:
            with pytest.raises(aiohttp.ClientConnectorCertificateError):
                await client.status()
        peers = Peers(Signer(Secret(nodes.key.encode()), "z"), delay={}, timeout=PATIENCE, most_bytes=10_000, tls=believed)
        try:
            with pytest.raises(PeerError, match="no certificate"):
                await peers.post("http://127.0.0.1:9", GOSSIP_PATH, GossipMessage(sender="z", members=[]), "a")
        finally:
            await peers.close()

    nodes.until_all_know_each_other = lambda: asyncio.sleep(0)  # their clients need the authority, as below
    with nodes:
        run(ask)
