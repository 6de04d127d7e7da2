"""What every channel has to do, in one suite: each joins it with a kit (`kits.py`)."""
