"""Cameras, the screen and the clipboard: what they are called, what they can, and Formats that read them."""
