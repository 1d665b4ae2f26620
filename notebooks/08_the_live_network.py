# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 8 · The live network
#
# So far everything was computed or simulated. Here the network **runs**: one process a device, which speaks HTTP with the
# others, keeps one first-come-first-served queue, and has on disk what it promises before it promises it. Nobody coordinates.
# Who is there is gossiped, and whom to ask is drawn by the device whose user asks.
#
# You need `pip install -e '.[testbed]'`, and no language model: in mode `paced` a device *sleeps* a service time instead of
# thinking for one. Queues cannot tell the difference, and four devices fit on a laptop.

# %%
# %matplotlib inline
from dmoa_theory import MoA, ServiceTime, System, build_topology, stability_region

desks = System(
    network=build_topology("complete", n=4),
    arrival_rate=1.6,  # prompts/s of every user: a network in a hurry
    service=ServiceTime.gamma(mean=0.1, scv=0.5),  # seconds
    moa=MoA(M=1, k=2),
)
stability_region(desks)

# %% [markdown]
# A notebook runs an event loop, and the network wants one of its own. So it gets a thread.

# %%
from concurrent.futures import ThreadPoolExecutor


def aside(function, *arguments):
    """Call a function in a thread of its own, and wait for what it gives back."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(function, *arguments).result()


# %% [markdown]
# ## One prompt, by the interface that everybody speaks
#
# A node answers `/v1/chat/completions`, as OpenAI's servers do. Any client that lets you set its address talks to the own
# device, and gets the answer of all. `async with` starts the nodes and ends them, whatever happens in between.

# %%
import asyncio
from pathlib import Path
from tempfile import TemporaryDirectory

import aiohttp

from dmoa_calibration.testbed.launch import LocalNetwork
from dmoa_calibration.testbed.scenario_nodes import held_ports, node_configs


async def ask(question):
    """Start the nodes, ask the first one's endpoint, end them."""
    with TemporaryDirectory() as folder, held_ports(4) as ports:
        nodes = node_configs(desks, Path(folder), mode="paced", ports=ports)
        async with LocalNetwork(nodes, Path(folder)) as network:
            headers = {"Authorization": f"Bearer {network.token}"}
            body = {"model": "dmoa", "messages": [{"role": "user", "content": question}]}
            async with aiohttp.ClientSession(network.nodes[0].url, headers=headers) as client:
                response = await client.post("/v1/chat/completions", json=body)
                return await response.json()


reply = aside(asyncio.run, ask("How would you find out whether a coin is fair?"))
print(reply["object"], "·", reply["choices"][0]["message"]["content"])

# %% [markdown]
# A paced device has nothing to say: it counts. But beside the answer, under `dmoa`, stands who was asked in every stage,
# which is the difference from a single model behind the same interface.

# %%
for number, layer in enumerate(reply["dmoa"]["layers"], start=1):
    print(f"stage {number}:", ", ".join(sorted(each["device"] for each in layer["responses"])))

# %% [markdown]
# The proposers of the layer (the own device and two others), then the own device alone, which aggregates: M = 1, k = 2.
#
# ## A run
#
# Now 100 prompts, sent as Poisson would have them, whatever has become of those before. `run_testbed` starts the nodes, drives
# them, gathers what they wrote down, and ends them. (From the command line: `dmoa testbed`.)

# %%
from dmoa_calibration.testbed.run_testbed import RunPlan, run_testbed
from dmoa_theory.live.measured_run import evaluate

run = aside(run_testbed, desks, RunPlan(mode="paced", prompts=100, seed=1))
run.record

# %%
result = evaluate(run.record, desks, runs=100)
result

# %% [markdown]
# Read it from left to right. *Measured*, with an interval from parts of the run: wide, for 100 prompts are few. *Simulated*:
# the mean of a hundred simulated runs just as long, from queues just as empty, at the service times that were really measured;
# and where 19 in 20 of these lie. That band is what a run of this length can be expected to show, and no more. *Theory* is the
# steady state at the measured times, *scenario* the same at the times that were asked for.
#
# Why measured times? A machine that does much else sleeps longer than it is told to, and you want to know whether the *queues*
# behave, not whether the machine was idle:

# %%
print(result.service_table())

# %% [markdown]
# Latency as the share of prompts that take longer. All lines leave out the prompts at both ends of the run, as the table does;
# of the grey one more below:

# %%
from dmoa_theory.plots import plot_live_latency

plot_live_latency(result).figure

# %% [markdown]
# The queues over the run. They come and go together, since every layer puts work into three of the four at once; that is also
# why their averages from so short a run scatter so much.

# %%
from dmoa_theory.plots import plot_live_queues

plot_live_queues(result).figure

# %% [markdown]
# ## The same run without chance
#
# Whoever compares two averages compares two samples. There is a sharper way: take the *very* prompts, choices and service times
# of the run, and play them through ideal queues. What the live run took longer is network, hand-over, disk and the wait for a
# processor; chance has no part in it.

# %%
import matplotlib.pyplot as plt
import numpy as np

from dmoa_theory.plots import house_style

again = result.replayed
with house_style():
    figure, axes = plt.subplots(figsize=(5.2, 4.6), layout="constrained")
    longest = 1.05 * max(again.measured.max(), again.replayed.max())
    axes.plot([0, longest], [0, longest], color="#7F7F7F", linewidth=1)
    axes.plot(again.replayed, again.measured, "o", markersize=4, alpha=0.6)
    axes.set_xlabel("latency in ideal queues (s)")
    axes.set_ylabel("latency measured (s)")
    axes.set_title("Each prompt, live and replayed")
plt.show()

# %%
parts = again.to_dict()["mean_seconds"]
print(f"overhead: {1000 * again.overhead:.0f} ms a prompt; of messages and disks, in ms:")
print(", ".join(f"{name.replace('_', ' ')} {1000 * value:.1f}" for name, value in parts.items()))

# %% [markdown]
# Nearly all dots lie on the line or a little above it: the queueing of the live network *is* that of which theory speaks.
# (Where a message came so late that two jobs changed places in a queue, one prompt gains what another loses.) The rest is
# overhead, a price of each message. At service times of seconds, as language models have them, nobody would see it.
#
# ## A device fails
#
# The third device loses its power in the middle of a run, and gets it back some seconds later. The others notice that it no
# longer gossips, take it for dead after a while, and ask somebody else in its place. What its own user had handed in is on its
# disk. (Services are slower here, so that there is something to lose.)

# %%
from collections import Counter
from dataclasses import replace

from dmoa_calibration.testbed.drive_plan import plan_arrivals
from dmoa_calibration.testbed.launch import kill

slower = replace(desks, service=ServiceTime.gamma(mean=0.25, scv=0.5), arrival_rate=0.6)
plan = plan_arrivals(slower, 36, seed=1330)
impatient = {"gossip": 0.2, "suspect": 1.0, "dead": 1.5}  # seconds; more on a real network
off = {}


async def one_prompt(client, name, at):
    """Hand a prompt in at its time; how long until the answer was there, or None where nobody answered the door."""
    loop = asyncio.get_running_loop()
    due = loop.time() + at
    await asyncio.sleep(at)
    try:
        await client.submit("Why does bread rise?", name)
    except (OSError, aiohttp.ClientError):
        return None
    while True:
        try:
            if (await client.answer(name, wait=30.0))["state"] == "done":
                return loop.time() - due
        except (OSError, aiohttp.ClientError):  # it has lost its power: ask again
            await asyncio.sleep(0.1)


async def power_cut(network, place, at, back):
    """Kill a node as a power cut would, and start it again."""
    began = asyncio.get_running_loop().time()
    await asyncio.sleep(at)
    kill(network.nodes[place])
    off["from"] = asyncio.get_running_loop().time() - began
    await asyncio.sleep(back - at)
    await network.restart(place)
    off["to"] = asyncio.get_running_loop().time() - began


async def run_with_power_cut():
    """The prompts of the plan, the third device off for a while, and all answers that the nodes have given."""
    with TemporaryDirectory() as folder, held_ports(4) as ports:
        nodes = node_configs(slower, Path(folder), mode="paced", ports=ports, timeouts=impatient)
        async with LocalNetwork(nodes, Path(folder)) as network:
            users = [node.client for node in network.nodes]
            sent = [
                one_prompt(users[user], f"prompt-{number}", at)
                for number, (user, at) in enumerate(zip(plan.user.tolist(), plan.time.tolist(), strict=True))
            ]
            *taken, _ = await asyncio.gather(*sent, power_cut(network, 2, at=4.0, back=7.0))
            answers = [each for user in users for each in (await user.results())["results"]]
            for user in users:
                await user.close()
    return taken, answers


taken, answers = aside(asyncio.run, run_with_power_cut())
given = Counter(each["id"] for each in answers)
accepted = [f"prompt-{number}" for number, seconds in enumerate(taken) if seconds is not None]
print(f"{len(accepted)} of {len(taken)} prompts accepted; all of these answered: {set(accepted) <= set(given)}")
print(f"most answers that one prompt got: {max(given.values())}")

# %%
latency = np.array([np.nan if seconds is None else seconds for seconds in taken])
with house_style():
    figure, axes = plt.subplots(figsize=(8.4, 3.8), layout="constrained")
    axes.axvspan(off["from"], off["to"], color="#E3E3E3", label="third device is off")
    for own, colour, name in ((False, "#0072B2", "other users"), (True, "#D55E00", "its own user")):
        mine = (plan.user == 2) == own
        axes.plot(plan.time[mine], latency[mine], "o", color=colour, markersize=5, label=name)
    refused = plan.time[np.isnan(latency)]
    axes.plot(refused, np.full(refused.size, 0.1), "x", color="#D55E00", label="not accepted")
    axes.set_ylim(bottom=0)
    axes.set_xlabel("time at which the prompt came (s)")
    axes.set_ylabel("time to the answer (s)")
    axes.set_title("One device of four without power")
    axes.legend(loc="upper left", bbox_to_anchor=(0, -0.16), ncols=4)
plt.show()

# %% [markdown]
# Prompts of others that were waiting for the dead device wait until it is given up, then go on with a substitute; later ones do
# not ask it at all. Its own user reaches nobody while it is off, but what she had handed in before is resumed when it is back:
# that is what the journal is for. Exactly once means that an accepted prompt is answered, and no prompt twice.
#
# Answers for which a device was replaced say so:

# %%
degraded = [each for each in answers if each["degraded"]]
print(f"{len(degraded)} answers of other devices than were asked first, or of fewer; the first of them says:")
print(*(degraded[0]["notes"][:2] if degraded else ["nothing: nobody was waiting for it"]), sep="\n")

# %% [markdown]
# ## With language models
#
# The same network with a model in every node, and the same comparison:
#
# ```sh
# dmoa testbed office.toml --backend llama_cpp --model FILE.gguf --mode real --queries 200 --out run
# dmoa testbed --from run          # evaluate it again, any time
# ```
#
# Any node serves a page at its address, with its queue over time and a box to ask in. [The guide](../docs/guides/testbed.md)
# says what to expect of a run, and how to put nodes on machines of their own.
#
# ## Exercise
#
# Overload the network: rates of 4 prompts a second for every user, 120 prompts. What does `evaluate` compare now, and why not
# latency?
#
# *Hint.* `desks.with_rates(4.0)`, then the same two lines as above. `print(*result.reasons(), sep="\n")` says what changed, and
# notebook 7 what the fluid limit is.
