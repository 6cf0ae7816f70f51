"""The nouns of the API: Array, Resource, Request, Format, Reader, Writer."""
