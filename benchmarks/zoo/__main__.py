"""`make zoo`, or `python -m benchmarks.zoo`: see `benchmarks.zoo.run`."""

from __future__ import annotations

import sys

from benchmarks.zoo.run import main

sys.exit(main())
