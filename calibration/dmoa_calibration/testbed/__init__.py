"""The live distributed Mixture-of-Agents network: one process a device, a queue, a language model, and no server in the middle.

``python -m dmoa_calibration.testbed CONFIG`` runs one node; :mod:`dmoa_calibration.testbed.scenario_nodes` makes the
configurations of all nodes of a scenario. What one device does for its own user is in ``home``, for its neighbours in
``helper``; ``protocol`` holds the messages and who may send them, ``engines`` what answers a prompt, ``server`` the endpoints.
"""
