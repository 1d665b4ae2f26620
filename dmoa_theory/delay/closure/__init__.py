"""The closure: the workloads of all devices from one exact identity, and from them the law of every stage of every query."""
