"""The command `timm-nhl`: one file per command, which parses arguments, calls the library and prints results.

Files import torch only when a command runs.
"""
