"""`python -m hierarchy`: the command, for where its script is not on the path."""

from hierarchy.cli.main import main

if __name__ == "__main__":
    main()
