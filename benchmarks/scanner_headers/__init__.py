"""Headers as scanners write them, made up: classic MR and CT, and multi-frame MR. The same bytes for the same seed.

    classic = mr()                                        # 361 elements, 17 kB
    data = classic.file(Place(study=3, series=7, index=12), pixels)

A header is encoded once for each kind of scanner. A file is then the join of the parts that all files share and of the
values that differ for each patient, study, series or image. Values differ in length, as they do in
files of scanners, so an element is not at the same byte in each file. That takes about 0.1 ms for each file.

What the headers have in common with real ones: the number of elements, public and private; blocks of several private
creators; the binary blocks of kilobytes that hold the protocol (tag by tag, with names of 64 bytes and remains of
memory behind them); sequences in sequences, of defined and of undefined length; texts of people, places and devices.
All names and numbers are made up, save the words by which private blocks are known.
"""

from .classic_ct import ct
from .classic_mr import mr
from .encoding import Header, Parts, Place
from .multi_frame_mr import Enhanced
from .shared_values import elements_of

__all__ = ["Enhanced", "Header", "Parts", "Place", "ct", "elements_of", "mr"]
