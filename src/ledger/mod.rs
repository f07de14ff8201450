//! The trust state: never loses an acknowledged record.
