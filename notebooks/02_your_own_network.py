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
# # 2 · Your own network and devices
#
# [Notebook 1](01_first_plan.ipynb) took a bundled system. Here you describe your own: who may ask whom, how fast each device
# is, how often each user asks. Four objects make a system:
#
# | object | says |
# |---|---|
# | `Network` | devices, and links: an arrow from u to v means that *u may ask v* |
# | `ServiceTime` | how long an inference takes on each device: mean, variability, and how much longer later stages take |
# | rates | prompts per second of each device's own user; zero for a device that only helps |
# | `MoA(M, k)` | how many layers, how many neighbours asked in each |

# %%
# %matplotlib inline
from dmoa_theory import MoA, Network, ServiceTime, System, build_topology, load_scenario, stability_region

# %% [markdown]
# ## Families
#
# Fourteen families of graphs have names. Same devices, same rates, same (M, k) = (1, 1): the colour is the share of time that
# each device is busy, and the wiring alone decides who suffers.

# %%
import matplotlib.pyplot as plt

from dmoa_theory.plots import house_style, plot_network

families = [
    ("ring", {"n": 12}),
    ("grid", {"rows": 3, "cols": 4}),
    ("star", {"n": 12}),
    ("barabasi_albert", {"n": 12, "links": 2}),
]
service = ServiceTime.gamma(mean=20.0, scv=0.5)  # seconds
with house_style():
    figure, panels = plt.subplots(2, 2, figsize=(9.5, 7.5), layout="constrained")
for axes, (name, parameters) in zip(panels.flat, families, strict=True):
    system = System(network=build_topology(name, **parameters), arrival_rate=0.0036, service=service, moa=MoA(1, 1))
    plot_network(stability_region(system), ax=axes)
    busiest = stability_region(system).bottleneck.utilisation
    axes.text(0.5, 0.0, f"{name}: busiest device {100 * busiest:.0f} %", transform=axes.transAxes, ha="center", weight="bold")
plt.show()

# %% [markdown]
# In the star everybody asks the centre, for it is the only neighbour there is. On the ring and the grid work spreads.
#
# ## A file
#
# Networks are also read from GraphML, GML, JSON node-link, edge lists, edge tables and adjacency matrices. The most
# convenient is an *edge table*: first a row per device, then a row per link. This clinic has one strong machine that
# everybody may ask.

# %%
from pathlib import Path

print(Path("../examples/clinic.csv").read_text())

# %% [markdown]
# A scenario file names the table and adds what is left to say.

# %%
print(Path("../examples/clinic.toml").read_text())

# %%
clinic = load_scenario("../examples/clinic.toml")
region = stability_region(clinic)
plot_network(region).figure

# %% [markdown]
# The server has no user, which is why it is drawn as a square, and asks nobody: its links work one way. Everybody asks it,
# and yet it has the least to do, for it is fast. The wards give way first: they ask most, and ask each other.

# %%
region

# %% [markdown]
# From a program that knows networkx, or from a matrix, it is one line. Link delays (seconds each way) may come with the
# edges.

# %%
import networkx as nx

florence = nx.florentine_families_graph()  # who was allied with whom in Renaissance Florence: 15 families
families_of_florence = Network.from_networkx(florence, description="Florentine families")
medici = System(network=families_of_florence, arrival_rate=0.002, service=service, moa=MoA(2, 1))
plot_network(stability_region(medici)).figure

# %% [markdown]
# What does not fit is refused in one line, which says what would. Most families here have fewer than three allies:

# %%
from dmoa_theory import DmoaError

try:
    medici.with_moa(M=2, k=3)
except DmoaError as error:
    print(error)

# %% [markdown]
# ## Unequal devices, unequal users
#
# Every number may be one for all, or one a device; `M` and `k` too. Here three phones lean on two laptops: the phones ask
# both laptops in two layers, the laptops answer their own prompts alone. A *quorum* of 2 lets a phone go on after two of its
# three answers.

# %%
names = ("laptop-1", "laptop-2", "phone-1", "phone-2", "phone-3")
asks = [[0, 1], [1, 0], [2, 0], [2, 1], [3, 0], [3, 1], [4, 0], [4, 1]]
source, target = zip(*asks, strict=True)
mixed = System(
    network=Network.from_links(5, source, target, names=names, link_delay=0.05),
    arrival_rate=[0.004, 0.004, 0.002, 0.002, 0.002],
    service=ServiceTime.gamma(mean=[12.0, 12.0, 60.0, 60.0, 60.0], scv=0.4, later=1.4, aggregate=1.2),
    moa=MoA(M=[0, 0, 2, 2, 2], k=[0, 0, 2, 2, 2], quorum=[1, 1, 2, 2, 2]),
    title="Two laptops, three phones",
)
stability_region(mixed)

# %%
from dmoa_theory import latency

latency(mixed)

# %% [markdown]
# Where does the time go? The quorum saves a phone the wait for its own slow answer (hatched), but that job is still in its
# queue, and the aggregation has to wait behind it. Not waiting is no gift when you need the same device next.

# %%
from dmoa_theory import where_time_goes
from dmoa_theory.plots import plot_waterfall

plot_waterfall(where_time_goes(mixed)).figure

# %% [markdown]
# ## Ask the right neighbours
#
# Users draw their `k` neighbours uniformly, unless you say otherwise. With unequal devices that is wasteful: a linear program
# finds the probabilities with which each link should be used so that the network carries the most load.

# %%
from dmoa_theory import capacity
from dmoa_theory.plots import plot_capacity

uneven = System(
    network=build_topology("complete", n=6),
    arrival_rate=0.0025,
    service=ServiceTime.gamma(mean=[10.0, 14.0, 18.0, 22.0, 26.0, 40.0], scv=0.5),
    moa=MoA(2, 2),
)
best = capacity(uneven)
print(f"uniform choice carries {best.scale_uniform:.2f} times the load, the best choice {best.scale_best:.2f} times")
plot_capacity(best)

# %% [markdown]
# `best.system()` is the same system with that choice, ready for every other question.

# %%
print(f"p95, uniform choice: {latency(uneven).p95:.0f} s; best choice: {latency(best.system()).p95:.0f} s")

# %% [markdown]
# ## Keep it
#
# A network goes back into a file, and a file into a scenario:

# %%
from tempfile import TemporaryDirectory

from dmoa_theory.model.graph_files import read_graph, write_graph

with TemporaryDirectory() as folder:
    path = Path(folder) / "florence.graphml"
    write_graph(path, families_of_florence, rate=medici.rates)
    again = read_graph(path)
    (Path(folder) / "florence.toml").write_text(
        '[network]\nfile = "florence.graphml"\n[service]\nmean = 20.0\nscv = 0.5\n[moa]\nM = 2\nk = 1\n'
    )
    from_file = load_scenario(Path(folder) / "florence.toml")
print(again.network)
print(stability_region(from_file).critical_scale == stability_region(medici).critical_scale)

# %% [markdown]
# ## Exercise
#
# The Medici were the best connected family: by how much can all rates grow before the busiest device is full, with every
# family asking one ally in two layers? Give the busiest device service times half as long. Who is the bottleneck then, and
# what has been gained?
#
# *Hint.* `stability_region(medici).bottleneck` and `.critical_scale`; then a list of means with one entry changed
# (`families_of_florence.position("Medici")` says where) and `dataclasses.replace(medici, service=...)`.
