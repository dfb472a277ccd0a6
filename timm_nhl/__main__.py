"""`python -m timm_nhl`: the command, also for torchrun and where its script is not on the path."""

import sys

# Python would look in the working folder first, and in a checkout of timm find that one; the script `timm-nhl` does not
if not getattr(sys.flags, "safe_path", False):
    sys.path.append(sys.path.pop(0))

from timm_nhl.cli.main import main

if __name__ == "__main__":
    main()
