"""`python -m timm_nhl`: the command, for where its script is not on the path."""

from timm_nhl.cli.main import main

if __name__ == "__main__":
    main()
