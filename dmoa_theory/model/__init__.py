"""What a distributed Mixture-of-Agents system is: devices, links, prompts, service times, (M, k)."""
