"""Transcoding jobs: film to film without arrays, as a value that can be sent, run, checked and run again."""
