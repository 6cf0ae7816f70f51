"""Headless workers of framebridge. They come with a later part; see CHANGELOG."""
