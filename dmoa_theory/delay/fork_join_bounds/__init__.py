"""How long a layer takes at least and at most, given how long its jobs take one by one, whatever their dependence."""
