"""`python -m whichloss`."""

from whichloss.cli.main import main

main()
