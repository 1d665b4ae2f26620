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
# # 6 · Choosing (M, k) when nothing is known for sure
#
# How stable and how fast a configuration is can be computed. How *accurate* it is can only be measured, on a finite number of
# prompts, and so it comes with an error. This notebook asks what such measurements can tell, does an experiment of its own,
# and chooses by it.
#
# ## What ten prompts say
#
# The paper measured seven configurations on ten prompts each.

# %%
# %matplotlib inline
from dmoa_theory.accuracy.assessment import assess
from dmoa_theory.accuracy.table import read_accuracy

paper = read_accuracy("mitra2024-diverse")
found = assess([paper])
found

# %% [markdown]
# *Fitted* is what a smooth surface makes of all figures together; four shapes, one of them flat, are weighed by how well each
# fits, so that no shape's own opinion ("more is better") passes for evidence. *P(best)* is the chance of being truly the most
# accurate. *Regret* is what you expect to give up if you pick that line and the truth is otherwise.

# %%
print(found.parts[0].sentence)

# %%
from dmoa_theory.accuracy.belief import believe
from dmoa_theory.plots import plot_accuracy

plot_accuracy(believe(paper)).figure

# %% [markdown]
# How many prompts would it take? Asked of *both* configurations, so that easy and hard prompts cancel out:

# %%
from dmoa_theory.accuracy.telling import prompts_needed

for points in (20, 10, 5, 2):
    print(f"to tell a gap of {points:2d} points with 80 % power: {prompts_needed(points / 100):5,d} prompts")

# %% [markdown]
# ## An experiment of our own
#
# Nobody should have to take that on trust, so here is an experiment that runs in seconds. Four devices hold weak classifiers
# of handwritten digits, each trained on eighty images and fourteen pixels. They answer at a temperature, see each other's
# answers between layers, and the own device decides in the end. **This says nothing about language models**: it shows the way
# from measured scores to a decision, on a task where everything can be checked.

# %%
import sys

sys.path.append("../examples/digits")

import numpy as np
from digits_agents import right, train_agents

CONFIGURATIONS = [(0, 0), *((M, k) for M in (1, 2, 3) for k in range(4))]


def measure(images, seed=0, temperature=0.7):
    """Scores of every configuration on the same images: the share of the four users who got each image right."""
    agents = train_agents(seed, images)
    rng = np.random.default_rng(seed)
    devices = agents.log_posterior[rng.permutation(agents.weak)[:4]]
    return {(M, k): right(devices, agents.label, [0, 1, 2, 3], M, k, temperature, rng) for M, k in CONFIGURATIONS}


scores = measure(images=600)
for (M, k), each in scores.items():
    print(f"M={M}, k={k}: {100 * each.mean():.1f} %", end="   " if k < 3 and M else "\n")

# %% [markdown]
# Scores of single prompts go into a CSV, one line each; `dmoa accuracy FILE` reads it, and so does `read_accuracy`. First as
# if we had asked only 30 images:

# %%
from pathlib import Path
from tempfile import TemporaryDirectory

folder = TemporaryDirectory()


def as_table(scores, images):
    """The first so many images as a table of accuracies."""
    path = Path(folder.name) / f"digits-{images}.csv"
    rows = [f"{M},{k},image-{i},{x:g}" for (M, k), each in scores.items() for i, x in enumerate(each[:images].tolist())]
    head = [f"# source: digit classifiers, {images} images", "# metric: images recognised", "M,k,prompt_id,score"]
    path.write_text("\n".join([*head, *rows, ""]))
    return read_accuracy(str(path))


few, many = as_table(scores, 30), as_table(scores, 600)
print(assess([few]).parts[0].sentence)

# %%
print(assess([many]).parts[0].sentence)

# %% [markdown]
# The same devices, the same scores: only the number of prompts differs. The bands show it.

# %%
import matplotlib.pyplot as plt

from dmoa_theory.plots import house_style

with house_style():
    figure, panels = plt.subplots(1, 2, figsize=(10.4, 4.6), layout="constrained")
for axes, table in zip(panels, (few, many), strict=True):
    plot_accuracy(believe(table), ax=axes)
    axes.set_ylim(30, 75)
plt.show()

# %% [markdown]
# ## From scores to a choice
#
# Now the devices: a classification takes two seconds, there are 72 prompts an hour from each user, and people will wait 25
# seconds on average, no more.

# %%
from dmoa_theory import Constraints, MoA, ServiceTime, System, build_topology, optimise
from dmoa_theory.plots import plot_choice

devices = System(
    network=build_topology("complete", n=4),
    arrival_rate=0.02,
    service=ServiceTime.gamma(mean=2.0, scv=0.5),
    moa=MoA(1, 1),
    constraints=Constraints(mean_latency=25.0),
)
decision = optimise(devices, accuracy=many)
plot_choice(decision).figure

# %%
for name, picked in (("most accurate as measured", decision.choice), ("recommended", decision.recommended)):
    print(f"{name}: M={picked.M}, k={picked.k}, mean latency {picked.mean_latency:.1f} s")
print(decision.why)

# %% [markdown]
# The Pareto front: whoever accepts a longer wait gets more right, and at every price there is one configuration to take.

# %%
for candidate in decision.pareto():
    print(f"({candidate.M}, {candidate.k})  {candidate.mean_latency:5.1f} s  {100 * candidate.accuracy:.1f} %")

# %% [markdown]
# With only 30 images the same call is more careful: what costs more has to be better by more than the noise.

# %%
careful = optimise(devices, accuracy=few)
stated, defended = careful.choice, careful.recommended
print(f"most accurate as measured: M={stated.M}, k={stated.k}; recommended: M={defended.M}, k={defended.k}")
print(careful.why)

# %% [markdown]
# And since the task can be repeated, we may look: accuracies of the two picks on the images that the 30 did not include.

# %%
for name, picked in (("as measured", stated), ("recommended", defended)):
    rest = scores[picked.M, picked.k][30:]
    print(f"{name}, M={picked.M}, k={picked.k}: {100 * rest.mean():.1f} ± {100 * rest.std() / rest.size**0.5:.1f} %")

# %%
folder.cleanup()

# %% [markdown]
# Caution has a price: some accuracy was left lying, though half of the waiting was saved. The way to lower that price is to
# measure more, and the sentences above say how much more.

# %% [markdown]
# ## Exercise
#
# How many images does it take until the recommendation with all images is found reliably?
#
# *Hint.* `as_table` takes the first images; shuffle each score array with one common permutation (`order =
# np.random.default_rng(s).permutation(600)`) for a dozen `s`, and count for 30, 100 and 300 images how often
# `optimise(devices, accuracy=..., simulation=False).recommended` is the same.
