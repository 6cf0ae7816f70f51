"""Film and animation, and stills where there is no ImageMagick, through the programs ffmpeg and ffprobe."""
