//! The use cases: resolve a reference, admit a subject, pull a manifest, pull a blob.
