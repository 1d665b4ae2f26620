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
# # 5 · Calibrate your hardware
#
# Everything rests on one question: how long does *your* machine take for one inference? It depends on how many tokens are
# read and how many are written, and later layers read more than the first, for they are shown the `k + 1` answers before
# them. So a single number is not enough. What is measured is a *profile*: the time $T(p, o)$ for $p$ tokens read and $o$
# written,
#
# $$T(p, o) = \underbrace{c_0 + c_1 p + c_2 p^2}_{\text{read the prompt}} \;+\;
# \underbrace{s\,\big(d_0 + d_1 (p + s/2)\big)}_{\text{write, } s = o - 1 \text{ further tokens}} .$$
#
# ## A profile to read
#
# Two come with dmoa: the same model shape, one thread of a server CPU, two engines.

# %%
# %matplotlib inline
from dmoa_theory.model.profile import read_profile
from dmoa_theory.model.scenario import bundled_profiles

profiles = {name: read_profile(path) for name, path in bundled_profiles().items()}
for profile in profiles.values():
    print(profile.describe(), end="\n\n")

# %% [markdown]
# The weights are random: they take as long as trained ones, and answer nonsense. Nothing has to be downloaded, nor agreed to.

# %%
from dmoa_theory.plots import plot_residuals, plot_times

first, second = profiles.values()
plot_times(first).figure

# %% [markdown]
# What the fit leaves unexplained, in the order measured, so that a machine that slowed down on the way would show. (It is
# also recorded how much of the time the processor really was ours; on a busy machine, CPU seconds are fitted instead.)

# %%
plot_residuals(first).figure

# %% [markdown]
# Which engine is faster? It depends on the lengths: the one reads faster, the other writes faster.

# %%
from dmoa_theory.model.profile_comparison import compare_profiles

print(compare_profiles([first, second]).table())

# %% [markdown]
# ## From tokens to stages
#
# A workload says how long prompts and answers are. Then mean and variability of every stage follow, and they **grow with k**:

# %%
from dmoa_theory import load_scenario

system = load_scenario()  # 120 ± 85 tokens asked, 200 ± 110 answered
for k in (0, 1, 3):
    mean = system.service.for_k(k).mean[0]
    print(f"k = {k}: first layer {mean[0]:.1f} s, later layers {mean[1]:.1f} s, aggregation {mean[2]:.1f} s")

# %% [markdown]
# That is why Theorem 1 with one $\alpha$ for all stages is too hopeful for measured devices: the stability boundary moves in
# as `k` grows, beyond what the number of jobs says. At M = 2, the largest load with stages as measured, and with every job as
# short as the first:

# %%
from dataclasses import replace

from dmoa_theory import ServiceTime, stability_region

for k in (0, 1, 2, 3):
    measured = system.with_moa(2, k)
    flat = replace(measured, service=ServiceTime.gamma(mean=system.service.for_k(k).mean[0, 0], scv=0.3))
    scales = [stability_region(each).critical_scale for each in (measured, flat)]
    print(f"k = {k}: {scales[0]:.2f} times the load as measured, {scales[1]:.2f} with one alpha")

# %% [markdown]
# ## Measure this machine
#
# Any engine will do: `transformers`, `llama.cpp`, or a server with an OpenAI-compatible interface. From the command line:
#
# ```sh
# dmoa calibrate --synthetic qwen2-0.5b --profile mine.json      # this machine, minutes
# dmoa calibrate --backend llama_cpp --model FILE.gguf --profile mine.json
# dmoa calibrate --check mine.json                               # does it still hold?
# ```
#
# The same in Python, with a toy model of 160,000 parameters and random weights, so that it takes seconds. (Your figures will
# differ from those below, and so will they from run to run: a model as small as this one is finished before the clock has
# warmed up.)

# %%
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

if find_spec("xllamacpp"):
    engine = {"backend_name": "llama_cpp", "synthetic": "llama-tiny-q8"}
elif find_spec("torch") and find_spec("transformers"):
    engine = {"backend_name": "transformers", "synthetic": "llama-tiny"}
else:
    engine = None
    print("No engine is installed: pip install -e '.[llamacpp]' or '.[transformers]'. The bundled profile stands in below.")

# %%
from dmoa_calibration.calibrate import calibrate

mine = first
if engine:
    with TemporaryDirectory() as folder:
        where = Path(folder) / "mine.json"
        mine = calibrate(**engine, profile_path=where, budget=60.0, prompt_tokens=[64, 256, 1024], output_tokens=[8, 32, 128])
print(f"{mine.name}: {len(mine.document['samples'])} samples; single lengths left out of the fit are {mine.fit.off_by}")

# %%
plot_times(mine).figure

# %% [markdown]
# That error is found by leaving out each pair of lengths in turn and predicting it from all the others. Means over a workload
# are surer, because such errors cancel in part: their standard errors travel with the profile into every plan (`service times
# 2 standard errors longer`). Outside the lengths that were measured you are warned:

# %%
far = load_scenario(overrides=["service.prompt_tokens=6000"])
print(*far.warnings(), sep="\n")

# %% [markdown]
# ## A plan with unequal machines
#
# A scenario takes one profile, or a list with one a device. The two busiest desks get the engine that writes faster:

# %%
from dmoa_theory import latency

old, new = profiles
two_engines = load_scenario(overrides=[f'service.profile=["{new}", "{new}", "{old}", "{old}"]'])
for each in (system, two_engines):
    busiest = stability_region(each).bottleneck
    print(f"busiest device {busiest.name} at {100 * busiest.utilisation:.0f} %, p95 {latency(each).p95:.0f} s")
print(*two_engines.warnings(), sep="\n")

# %% [markdown]
# ## Exercise
#
# Your users' prompts are long documents: 1200 tokens, and answers of 60. Which of the two engines do you want now?
#
# *Hint.* `overrides=[...]` takes what `--set` takes on the command line: `"service.prompt_tokens=1200"`, and so on. One of
# the two profiles was not measured at that length: what does `warnings()` say?
