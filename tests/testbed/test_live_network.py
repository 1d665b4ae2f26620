"""A network of real processes answers: Algorithm 1 for several (M, k), each inference once, over every interface."""

from __future__ import annotations

import asyncio

import pytest

from dmoa_calibration.testbed.client import RefusedQuery
from dmoa_calibration.testbed.wording import INSTRUCTION
from tests.testbed.network_of_nodes import Network, answered, network, run, until

openai = pytest.importorskip("openai")


@pytest.fixture(scope="module")
def live(tmp_path_factory):
    """Four nodes whose users run different things, on the same devices."""
    moas = [{"M": 2, "k": 2}, {"M": 1, "k": 1}, {"M": 0, "k": 0}, {"M": 1, "k": 3, "quorum": 2}]
    with network(tmp_path_factory.mktemp("live"), [{"moa": moa} for moa in moas]) as nodes:
        yield nodes


async def ask(live: Network, name: str, prompt: str, query_id: str) -> dict:
    async with live.client(name) as client:
        await client.submit(prompt, query_id)
        return await answered(client, query_id)


def test_two_layers_ask_the_own_device_and_two_others_each_then_aggregate_at_home(live):
    answer = run(lambda: ask(live, "a", "why?", "two-layers"))
    assert answer["state"] == "done"
    assert answer["answer"]
    assert (answer["degraded"], answer["notes"], answer["resumed"]) == (False, [], 0)
    assert [layer["kind"] for layer in answer["layers"]] == ["first", "later", "aggregate"]
    for layer in answer["layers"][:2]:
        assert layer["asked"][0] == "a"
        assert len(set(layer["asked"])) == 3
        assert [response["device"] for response in layer["responses"]] == layer["asked"]
    assert answer["layers"][2]["asked"] == ["a"]
    assert answer["answer"] == answer["layers"][2]["responses"][0]["text"]


def test_later_stages_read_the_prompt_the_instruction_and_the_responses(live):
    """A paced device counts words: one of the prompt, then instruction and three responses of 16 words each, each numbered."""
    answer = run(lambda: ask(live, "a", "why?", "words"))
    first, later, last = ({r["prompt_tokens"] for r in layer["responses"]} for layer in answer["layers"])
    assert first == {1}
    assert later == last == {INSTRUCTION.count(" ") + 1 + 3 * 16}


def test_without_layers_one_inference_at_home_is_the_answer(live):
    answer = run(lambda: ask(live, "c", "why?", "no-layers"))
    (layer,) = answer["layers"]
    assert (layer["kind"], layer["asked"]) == ("first", ["c"])
    assert answer["answer"] == layer["responses"][0]["text"]


def test_a_quorum_goes_on_with_the_first_answers_and_lets_the_others_be_served(live):
    answer = run(lambda: ask(live, "d", "why?", "quorum"))
    layer = answer["layers"][0]
    assert (len(layer["asked"]), len(layer["responses"]), layer["missing"]) == (4, 2, 0)
    assert not answer["degraded"]


def test_every_job_of_every_query_is_served_once(live):
    """(k + 1) M + 1 inferences a query (Mitra2024, section II), none twice."""

    queries = [f"once-{i}" for i in range(10)]

    def ended() -> list[str]:
        everywhere = (event for node in live.nodes.values() for event in node.events("job_ended"))
        return [event["job"] for event in everywhere if event["query"] in queries]

    async def several() -> None:
        async with live.client("a") as client:
            await asyncio.gather(*(client.submit(f"prompt {query}", query) for query in queries))
            for query in queries:
                assert (await answered(client, query))["state"] == "done"

        async def all_logged() -> bool:
            return len(ended()) >= 10 * (3 * 2 + 1)

        await until(all_logged)

    run(several)
    assert len(ended()) == len(set(ended())) == 10 * (3 * 2 + 1)


def test_the_same_prompt_under_the_same_id_is_taken_once_and_another_prompt_refused(live):
    async def twice() -> None:
        async with live.client("b") as client:
            before = (await client.status())["queries"]["accepted"]
            await asyncio.gather(*(client.submit("one", "same") for _ in range(5)))
            first = await answered(client, "same")
            assert (await client.submit("one", "same"))["state"] == "done"
            assert await client.answer("same") == first
            assert (await client.status())["queries"]["accepted"] == before + 1
            with pytest.raises(RefusedQuery) as refused:
                await client.submit("another", "same")
            assert refused.value.status == 409

    run(twice)


def test_results_come_in_the_order_in_which_queries_ended(live):
    async def collect() -> None:
        async with live.client("b") as client:
            last = (await client.results())["last"]
            waiting = asyncio.create_task(client.results(after=last, wait=60))
            await client.submit("one", "listed-1")
            found = await waiting
            while not found["results"]:
                found = await client.results(after=last, wait=60)
            assert [answer["id"] for answer in found["results"]] == ["listed-1"]
            assert found["last"] == last + 1
            short = await client.results(after=last, texts=False)
            assert short["results"][0]["answer"] is None
            assert (await client.results(after=found["last"]))["results"] == []

    run(collect)


def test_openais_own_client_gets_the_answer_of_all_devices(live):
    with openai.OpenAI(base_url=live["a"].url + "/v1", api_key=live.token) as client:
        assert [model.id for model in client.models.list()] == ["dmoa"]
        messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Why?"}]
        answer = client.chat.completions.create(model="dmoa", messages=messages, extra_headers={"Idempotency-Key": "chat-1"})
        assert answer.choices[0].message.content
        assert answer.choices[0].finish_reason == "stop"
        assert answer.usage.completion_tokens == 7 * 16
        assert answer.model_extra["dmoa"]["id"] == "chat-1"
        assert len(answer.model_extra["dmoa"]["layers"]) == 3
        pieces = client.chat.completions.create(model="dmoa", messages=messages, stream=True)
        assert any(piece.choices[0].delta.content for piece in pieces)
        again = {"Idempotency-Key": "retry of: chat 2, which is no id and longer than one may be" + "!" * 40}
        first, second = (client.chat.completions.create(model="dmoa", messages=messages, extra_headers=again) for _ in "12")
        assert first.id == second.id
    with (
        openai.OpenAI(base_url=live["a"].url + "/v1", api_key="not the token", max_retries=0) as stranger,
        pytest.raises(openai.AuthenticationError),
    ):
        stranger.models.list()


def test_metrics_are_what_prometheus_reads(live):
    from prometheus_client.parser import text_string_to_metric_families

    async def text() -> str:
        await ask(live, "c", "why?", "measured")
        async with live.client("c") as client:
            return await client.metrics()

    families = {family.name: family for family in text_string_to_metric_families(run(text))}
    value = {(s.name, *s.labels.values()): s.value for family in families.values() for s in family.samples}
    assert value["dmoa_queries_total", "done"] >= 1
    assert value["dmoa_members", "alive"] == 3
    assert value["dmoa_latency_seconds_count",] == value["dmoa_queries_total", "done"]
    assert value["dmoa_jobs_total", "served"] >= value["dmoa_queries_total", "done"]


def test_events_tell_when_every_job_was_asked_for_queued_served_and_answered(live):
    """Enough to replay the run: the order of moments is that of the protocol, on one clock."""
    answer = run(lambda: ask(live, "a", "why?", "replayed"))
    assert answer["state"] == "done"

    async def written() -> bool:
        """Events are written a few times a second, by each node when it comes to it."""
        done = any(event["query"] == "replayed" for event in live["a"].events("query_ended"))
        return done and sum(e["query"] == "replayed" for n in live.nodes.values() for e in n.events("job_ended")) >= 7

    run(lambda: until(written))
    at_home = [event for event in live["a"].events() if event.get("query") == "replayed"]
    everywhere = [e for node in live.nodes.values() for e in node.events("job_ended") if e["query"] == "replayed"]
    jobs = {event["job"]: event for event in everywhere}
    assert len(jobs) == len(everywhere) == 7
    stages = {event["stage"]: event for event in at_home if event["event"] == "stage_started"}
    responses = {event["job"]: event for event in at_home if event["event"] == "response"}
    arrived, ended = (next(e for e in at_home if e["event"] == name) for name in ("query_arrived", "query_ended"))
    for job, event in jobs.items():
        started, back = stages[event["stage"]]["mono"], responses[job]["mono"]
        assert arrived["mono"] <= started <= event["queued"] <= event["started"] <= event["mono"] <= back <= ended["mono"]
        assert event["service_s"] == pytest.approx(event["mono"] - event["started"])
        assert event["service_s"] >= event["target_s"] == 0.01
