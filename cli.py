"""A launcher for a checkout: `python cli.py torch2tf ...` is `translate torch2tf ...`."""

from translate.cli import main

if __name__ == "__main__":
    main()
