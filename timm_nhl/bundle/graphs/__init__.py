"""The forms of a bundle's graph, a file for each format: how a network is written in it, with its preparation."""
