//! Behaviour tests: one binary, a module per promise.

mod support;
