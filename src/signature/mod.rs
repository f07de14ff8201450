//! Verifiers: bytes and keys in, who-signed-what out. No network.
