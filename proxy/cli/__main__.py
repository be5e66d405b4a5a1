"""`python -m proxy.cli` is `weir`; the supervisor starts its children so."""

from proxy.cli import main

if __name__ == "__main__":
    main()
