"""The demo: the closed loop on real data, on one machine, in two acts."""
