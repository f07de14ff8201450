//! What the behaviour tests stand on.
