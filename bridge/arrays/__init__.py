"""Arrays and TIFF stacks, read and written in this process by numpy and tifffile; no program is needed."""
