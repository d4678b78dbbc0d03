"""Models of any size from one calibration: levels of every sublayer, stitched together under a budget."""
