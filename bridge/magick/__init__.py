"""Still pictures through the program ImageMagick, versions 6 and 7."""
