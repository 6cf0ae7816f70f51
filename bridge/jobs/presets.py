"""Presets: jobs that people know by a name. A table."""

from __future__ import annotations

from typing import Any

from bridge.errors import BadJob

__all__ = ["EXTENSIONS", "PRESETS", "preset"]

# Name -> keywords of `transcode`, where the caller gives none of his own.
PRESETS: dict[str, dict[str, Any]] = {
    # Plays in every browser.
    "web": {"video_codec": "h264", "crf": 23, "pixel_format": "yuv420p", "audio_codec": "aac", "audio_bitrate": "160k"},
    # Not one bit of the picture or of the sound is lost.
    "archive": {"video_codec": "ffv1", "audio_codec": "flac"},
    # Small and quick to cut with; every frame is a key frame.
    "proxy": {"video_codec": "h264", "crf": 28, "size": (0, 540), "speed": "veryfast", "pixel_format": "yuv420p",
              "audio_codec": "aac", "audio_bitrate": "96k", "options": ("-g", "1")},
    "gif": {"fps": 12.5, "size": (480, 0)},
    "hls": {"video_codec": "h264", "audio_codec": "aac", "audio_bitrate": "128k"},
}  # fmt: skip

# Preset -> what the name of its result ends with, where only a folder is given.
EXTENSIONS = {"web": ".mp4", "archive": ".mkv", "proxy": ".mp4", "gif": ".gif", "hls": ".m3u8"}


def preset(name: str) -> dict[str, Any]:
    """Give the keywords of a preset.

    Raises
    ------
    BadJob
        If there is none of that name.

    Examples
    --------
    >>> preset("archive")
    {'video_codec': 'ffv1', 'audio_codec': 'flac'}
    """
    if name not in PRESETS:
        raise BadJob(f"there is no preset {name!r}; there are {', '.join(PRESETS)}")
    return dict(PRESETS[name])
