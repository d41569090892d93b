"""`python -m vapo`, which `accelerate launch -m vapo train` uses."""

import sys

from vapo.cli import main

sys.exit(main())
