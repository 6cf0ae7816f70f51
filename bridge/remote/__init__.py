"""Workers seen from the library: the protocol, frames in shared memory, one connection, the process itself."""
