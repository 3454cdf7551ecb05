"""`python -m condvae`: the same as the command `condvae`."""

import sys

from condvae.cli import main

sys.exit(main())
