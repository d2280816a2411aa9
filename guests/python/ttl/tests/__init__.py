"""Native tests: `python3 -m unittest`, in the guest's folder. They find the kit here."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "../kit"))
