"""The planted-fault benchmark: devices with known mistakes, and whether the diagnosis names them.

Nothing here shares code with what is judged: pictures are prepared, networks quantised and mistakes
made once more, as a user's own program and another vendor's tools would.
"""
