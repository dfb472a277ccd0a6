"""`python -m hierarchy` runs the command `hierarchy`."""

from hierarchy.cli.main import main

if __name__ == "__main__":
    main()
