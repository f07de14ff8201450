//! This machine's cache: blobs on disk and their rebuildable index.
