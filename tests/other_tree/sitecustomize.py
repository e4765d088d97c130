"""With this folder on PYTHONPATH, Python takes bittrue from there and not from an editable install.

Such an install puts a finder in front of the path; a test of another tree would test this one.
"""

import sys

sys.meta_path[:] = [row for row in sys.meta_path if "editable" not in type(row).__module__]
